import type { Attestation, RefusedEvidence, RefusedToken } from '../attest/attested.ts';
import type { Caller } from '../base/access.ts';
import { WritError } from '../base/error.ts';
import { issueCertificate } from './issue.ts';
import { type IssuedCertificate, issuedBefore } from './issued.ts';
import { newcomer, wishWithin } from './newcomer.ts';
import type { IssuanceParts } from './parts.ts';
import type { CertificateRequest } from './request.ts';

/**
 * Lets a new instance in, on evidence: a new instance id, its row, the use of the evidence and the first certificate are
 * one act. The same evidence asked for under the same idempotency key gives the same instance, also when it was good for
 * one only.
 *
 * Throws `token_refused` or `evidence_refused` in one wording whatever is wrong with the evidence: why is for the ledger.
 */
export async function enrol(
  caller: Caller,
  request: CertificateRequest & { readonly evidence: Attestation },
  parts: IssuanceParts,
): Promise<IssuedCertificate> {
  const { evidence, csr, wish = {}, idempotency } = request;
  if (!evidence.accepted) {
    const first = await repeated(evidence, request, parts);
    return first ?? ('kind' in evidence ? await refuseEvidence(evidence, parts) : await refuse(evidence, parts));
  }
  const { attested } = evidence;
  const by = attested.entry === undefined ? `token:${attested.reference}` : `entry:${attested.entry}`;
  return issueCertificate(
    {
      caller,
      action: 'instance.enrol',
      event: 'certificate.issued',
      csr,
      wish: wishWithin(wish, attested),
      idempotency,
      holder: () => newcomer(attested, by, parts),
    },
    parts,
  );
}

/** The first answer, for a bearer whose evidence that very answer used up. */
async function repeated(
  evidence: RefusedToken | RefusedEvidence,
  { idempotency }: CertificateRequest,
  parts: IssuanceParts,
): Promise<IssuedCertificate | undefined> {
  const wasGood = 'kind' in evidence ? evidence.fault === 'spent' : evidence.reference !== undefined;
  const first = wasGood ? await idempotency?.first() : undefined;
  return first?.kind === 'reference' ? issuedBefore(first.reference, parts) : undefined;
}

async function refuse({ fault, reference }: RefusedToken, parts: IssuanceParts): Promise<never> {
  const subjects = reference === undefined ? [] : [`token:${reference}`];
  const by = subjects[0];
  await parts.recordRefusal({ type: 'token.refused', by, code: 'token_refused', subjects, body: { fault } });
  throw new WritError('token_refused', 'The join token is not one that lets anybody in.', {
    field: '/token',
    remedy: 'Ask for another: it may be spent, revoked, past its time, or never have been one.',
  });
}

/**
 * Of an attestor's evidence the ledger says why it was not believed, or what was proven that no entry asks for: once in a
 * while for each attestor and fault, and else how often. Of evidence for no attestor it is counted alone.
 */
async function refuseEvidence({ kind, fault, attestor, facts }: RefusedEvidence, parts: IssuanceParts): Promise<never> {
  const by = attestor === undefined ? undefined : `attestor:${attestor}`;
  await parts.recordRefusal({
    type: 'evidence.refused',
    by,
    code: 'evidence_refused',
    ...(by === undefined ? {} : { fault }),
    subjects: by === undefined ? [] : [by],
    body: { kind, ...(facts === undefined ? {} : { facts }) },
  });
  if (fault === 'ambiguous') {
    throw new WritError('bad_request', 'The evidence is that of several agents or services.', {
      field: '/agent',
      remedy: 'Say as which of them to let it in.',
    });
  }
  throw new WritError('evidence_refused', 'The evidence is not one that lets anybody in.', {
    field: '/evidence',
    remedy: 'Whoever runs the authority finds in its ledger why, under the name of the attestor.',
  });
}
