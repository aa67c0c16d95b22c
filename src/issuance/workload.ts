import { digestOf } from '../attest/attest-evidence.ts';
import type { Attested } from '../attest/attested.ts';
import type { RegistrationEntry } from '../attest/entry/entry.ts';
import { readEntry, requireEntry } from '../attest/entry/store.ts';
import type { EvidenceFacts } from '../attest/evidence.ts';
import { matches, orderedFacts, seenByNode } from '../attest/facts.ts';
import { INSTALLATION } from '../attest/flow.ts';
import { imageSignerOf } from '../attest/verifier/image-signature.ts';
import type { Caller, Facts } from '../base/access.ts';
import { demand } from '../base/demand.ts';
import { WritError } from '../base/error.ts';
import type { Batch } from '../db/batch.ts';
import { type Instance, lineageOf, readInstance } from '../registry/instance.ts';
import { requireInstanceActive } from '../registry/standing.ts';
import type { Runtime } from '../wire/runtime.ts';
import { runtimeFacts } from '../wire/runtime-facts.ts';
import { issueCertificate } from './issue.ts';
import type { IssuedCertificate } from './issued.ts';
import { newcomer, wishWithin } from './newcomer.ts';
import { notAuthenticated } from './not-authenticated.ts';
import type { IssuanceParts } from './parts.ts';
import type { CertificateRequest } from './request.ts';

/** What a node saw of a process that asks it for an identity. */
export interface WorkloadRequest extends CertificateRequest {
  /** Id of the registration entry by which it is to be let in. */
  readonly entry: string;
  readonly facts: EvidenceFacts;
  readonly runtime?: Runtime | undefined;
  /** Which process it is, for people. */
  readonly process?: string | undefined;
}

/**
 * Lets a workload in on the word of the node that saw it: an instance of the entry's agent whose parent is the node, so
 * that stopping the node stops it, too. The node vouches for the facts; that they are what the entry asks for, and that the
 * entry is for the node's own service, is looked at here, and that it is still there in the commit.
 *
 * Throws as `issueCertificate` does, `not_authenticated` and `not_found`.
 */
export async function enrolWorkload(
  caller: Caller,
  request: WorkloadRequest,
  parts: IssuanceParts,
): Promise<IssuedCertificate> {
  // What the node says of the agent comes by `runtime`, where it is told apart what is only claimed.
  const facts = await trueOf(seenByNode(request.facts), request.runtime, parts);
  const parent = await nodeOf(caller, parts);
  const entry = await entryNamed(caller, request.entry, parts);
  const attested = { kind: 'node', reference: request.process ?? entry.id } as const;
  return letIn(caller, { ...request, ...attested, parent, entry, facts }, parts);
}

/** What is to be let in: on whose word, by which entry, and as what. */
interface Newcomer extends CertificateRequest {
  /** `node`, or `parent` for what the caller runs in its own process. */
  readonly kind: 'node' | 'parent';
  readonly reference: string;
  readonly parent: Instance;
  readonly entry: RegistrationEntry;
  readonly facts: EvidenceFacts;
  /** What else enrolling the instance writes. */
  readonly also?: (batch: Batch, instance: string) => void;
}

/** Lets in a child of the caller. Throws as `enrolWorkload` does. */
export function letIn(caller: Caller, request: Newcomer, parts: IssuanceParts): Promise<IssuedCertificate> {
  const { csr, wish = {}, idempotency, entry: found, facts, parent } = request;
  return issueCertificate(
    {
      caller,
      action: 'workload.enrol',
      event: 'certificate.issued',
      csr,
      wish: wishWithin(wish, longestOf(found)),
      idempotency,
      async holder(fresh) {
        const entry = fresh ? await entryNamed(caller, found.id, parts) : found;
        const holder = await newcomer(attestedBy({ ...request, entry }), undefined, parts);
        const depth = (await lineageOf(parts.reader, parent)).length;
        return {
          ...holder,
          facts: { ...holder.facts, ...guardFacts(entry, facts), renewal: false, callerDepth: depth },
        };
      },
    },
    parts,
  );
}

/** What is known of it, with what its runtime says. */
export async function trueOf(
  seen: EvidenceFacts,
  runtime: Runtime | undefined,
  { reader }: Pick<IssuanceParts, 'reader'>,
): Promise<EvidenceFacts> {
  const signer = runtime === undefined ? undefined : await imageSignerOf(runtime, reader);
  return orderedFacts({ ...seen, ...runtimeFacts(runtime, seen, signer) }, '/facts');
}

/** What the guard holds a node to. */
export function guardFacts({ source, match, scopes }: RegistrationEntry, facts: EvidenceFacts): Facts {
  return {
    entryNode: 'node' in source ? source.node : '',
    entryMatches: matches(match, facts),
    entryScopes: scopes,
  };
}

export function longestOf({ lifetimeSeconds }: RegistrationEntry): Pick<Attested, 'longestSeconds'> {
  return lifetimeSeconds === undefined ? {} : { longestSeconds: lifetimeSeconds };
}

/** That there is none, only those are told who may list them, as every node may list its own. */
async function entryNamed(
  caller: Caller,
  id: string,
  { reader, authorize }: IssuanceParts,
): Promise<RegistrationEntry> {
  const entry = await readEntry(reader, id);
  if (entry !== undefined) return entry;
  if (caller.kind !== 'service') {
    demand(authorize, { caller, action: 'entry.read', resource: INSTALLATION, context: { own: false } });
  }
  throw new WritError('not_found', 'There is no registration entry of that id.', {
    field: '/entry',
    remedy: 'Read the entries anew: it may have been removed.',
  });
}

/** The caller as an instance. */
export async function nodeOf({ instance }: Caller, { reader }: IssuanceParts): Promise<Instance> {
  const node = instance === undefined ? undefined : await readInstance(reader, instance);
  if (node === undefined) throw notAuthenticated();
  return node;
}

function attestedBy({ kind, reference, parent, entry, facts, also }: Newcomer): Attested {
  const { workflow } = entry;
  return {
    kind,
    agent: entry.agent,
    reference,
    ...(parent.attestedUntil === undefined ? {} : { expiresAt: parent.attestedUntil }),
    parent: parent.id,
    ...(workflow === undefined ? {} : { workflow }),
    scopes: entry.scopes,
    labels: entry.labels,
    facts: { attestation: kind, entry: entry.id },
    entry: entry.id,
    evidence: { digest: digestOf({ entry: entry.id, facts }), facts },
    ...longestOf(entry),
    record(batch, instance) {
      requireInstanceActive(batch, parent.id);
      requireEntry(batch, entry.id);
      also?.(batch, instance);
    },
  };
}
