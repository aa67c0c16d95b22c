import type { Caller } from '../base/access.ts';
import { WritError } from '../base/error.ts';
import type { Batch } from '../db/batch.ts';
import {
  addOperatorCertificate,
  insertOperator,
  type Operator,
  readOperator,
  requireActiveOperator,
} from '../registry/operator.ts';
import type { Name } from '../spiffe-id/name.ts';
import { operatorId } from '../spiffe-id/subject.ts';
import type { Holder } from './holder.ts';
import { issueCertificate } from './issue.ts';
import type { IssuedCertificate } from './issued.ts';
import type { IssuanceParts, SigningAuthority } from './parts.ts';
import type { CertificateRequest } from './request.ts';

/** The profile that operators' certificates follow. */
const PROFILE = 'operator';

/**
 * A certificate for an operator who exists: a lost one's successor, by whoever is entitled to it. The certificates before
 * stay valid; revoking them is another act.
 */
export function issueOperatorCertificate(
  caller: Caller,
  request: CertificateRequest & { readonly operator: Name },
  parts: IssuanceParts,
): Promise<IssuedCertificate> {
  return issue(caller, request, parts, () => operatorHolder(request.operator, parts));
}

/**
 * Adds an operator together with the first certificate, in one act. `also` pushes what else belongs to it, e.g. the
 * event that an operator was added. The caller was authorised to add operators before.
 */
export function addOperatorWithCertificate(
  caller: Caller,
  request: CertificateRequest & {
    readonly operator: Name;
    /** Whose credential it is; absent: by the operator's own name, and pushed by `also`. */
    readonly person?: string;
    readonly also?: (batch: Batch, now: number) => void;
  },
  parts: IssuanceParts,
): Promise<IssuedCertificate> {
  return issue(caller, request, parts, async () =>
    holderOf(request.operator, parts, (batch, now) => {
      insertOperator(batch, request.operator, now, request.person);
      request.also?.(batch, now);
    }),
  );
}

function issue(
  caller: Caller,
  request: CertificateRequest,
  parts: IssuanceParts,
  holder: () => Promise<Holder>,
): Promise<IssuedCertificate> {
  const { csr, wish = {}, idempotency } = request;
  const order = { caller, action: 'certificate.issue', event: 'certificate.issued', csr, wish, idempotency } as const;
  return issueCertificate({ ...order, holder }, parts);
}

/** An operator as a holder of certificates. Throws `not_found`. */
export async function operatorHolder(name: string, parts: IssuanceParts): Promise<Holder> {
  const operator = await readOperator(parts.reader, name, parts.clock.now());
  if (operator === undefined) {
    throw new WritError('not_found', 'There is no such operator.', {
      field: '/operator',
      remedy: 'List the operators, or add one.',
    });
  }
  return holderOf(operator.name, parts, (batch) => requireActiveOperator(batch, name), operator);
}

function holderOf(
  name: Name,
  { authority, trustDomain }: IssuanceParts,
  require: (batch: Batch, now: number) => void,
  operator?: Operator,
): Holder {
  return {
    kind: 'operator',
    name,
    id: operatorId(trustDomain, name),
    ...profileNamed(PROFILE, authority),
    keyHolder: `operator:${name}`,
    resource: { type: 'Operator', id: name },
    facts: {},
    context: { scopes: [] },
    subjects: [`operator:${name}`],
    ...(operator?.status === 'removed' ? { fault: removed() } : {}),
    hasPrevious: false,
    record(batch, { certificate, now }) {
      require(batch, now);
      addOperatorCertificate(batch, name, certificate, now);
    },
  };
}

/** A profile that every installation has. */
export function profileNamed(name: string, authority: SigningAuthority): Pick<Holder, 'profile' | 'profileVersion'> {
  const stored = authority.profile(name);
  if (stored !== undefined) return { profile: stored.profile, profileVersion: stored.version };
  throw new WritError('inactive', `The profile ${name} does not exist.`, { remedy: 'Publish it again.' });
}

function removed(): WritError {
  return new WritError('revoked', 'The operator was removed, which is for ever.', {
    remedy: 'Add an operator under a new name.',
  });
}
