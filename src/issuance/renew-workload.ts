import { addEvidence, addedFacts } from '../attest/added-evidence.ts';
import type { RegistrationEntry } from '../attest/entry/entry.ts';
import { readEntry, requireEntry } from '../attest/entry/store.ts';
import type { EvidenceFacts } from '../attest/evidence.ts';
import { type InstanceEvidence, readInstanceEvidence } from '../attest/evidence-store.ts';
import { orderedFacts, pairsOf, REFERENCE, seenByNode } from '../attest/facts.ts';
import { imageSignerOf } from '../attest/verifier/image-signature.ts';
import type { Caller } from '../base/access.ts';
import { WritError } from '../base/error.ts';
import { readInstance } from '../registry/instance.ts';
import { unmatched } from '../wire/match-facts.ts';
import type { Runtime } from '../wire/runtime.ts';
import { driftOf, onlyAgentFacts, runtimeFacts, withoutAgentFacts } from '../wire/runtime-facts.ts';
import { type DriftParts, holdDrifted } from './drift.ts';
import type { Holder } from './holder.ts';
import { knownInstance } from './instance-holder.ts';
import { issueCertificate } from './issue.ts';
import type { IssuedCertificate } from './issued.ts';
import { wishWithin } from './newcomer.ts';
import type { IssuanceParts } from './parts.ts';
import type { CertificateRequest } from './request.ts';
import { guardFacts, longestOf, nodeOf } from './workload.ts';

export interface WorkloadRenewal extends CertificateRequest {
  readonly instance: string;
  /** What the node sees now. Absent: nothing is compared. */
  readonly facts?: EvidenceFacts | undefined;
  readonly runtime?: Runtime | undefined;
}

/**
 * The next certificate of a workload, which the node that let it in asks for. The entry that it was let in by must still be
 * there. Where what the node sees now is not what was attested, or not what the entry asks for, the instance is held and
 * nothing is issued (`inactive`).
 */
export async function renewWorkload(
  caller: Caller,
  request: WorkloadRenewal,
  parts: IssuanceParts & DriftParts,
): Promise<IssuedCertificate> {
  const { csr, wish = {}, idempotency, instance } = request;
  const node = await nodeOf(caller, parts);
  // An instance that is nobody's business of the caller is denied like one that there is not.
  const child = await knownInstance(caller, instance, parts, false);
  const parent = (await readInstance(parts.reader, instance))?.parent;
  const evidence = await readInstanceEvidence(parts.reader, instance);
  if (parent !== node.id || evidence?.entry === undefined) throw await notItsOwn(caller, child, parts);
  const entry = await entryOf(evidence, parts);
  const facts = await factsNow(evidence, request, parts);
  const changed = [
    ...new Set([...driftOf(evidence.facts, facts), ...unmatched(entry.match, facts).map(nameOf)]),
  ].sort();
  // Of one that is stopped or held already, that is what there is to say.
  if (child.fault === undefined) await holdDrifted(instance, changed, caller, parts);
  const later = addedFacts(evidence.facts, facts);
  return issueCertificate(
    {
      caller,
      action: 'workload.enrol',
      event: 'certificate.renewed',
      csr,
      wish: wishWithin(wish, longestOf(entry)),
      idempotency,
      repeatReachesCommit: true,
      async holder(fresh) {
        const holder = fresh ? await knownInstance(caller, instance, parts, true) : child;
        const told = { attestation: evidence.kind, entry: entry.id, facts: pairsOf(facts), renewal: true, parent };
        return {
          ...holder,
          facts: { ...holder.facts, ...told, ...guardFacts(entry, facts), callerDepth: 0 },
          record(batch, issued) {
            requireEntry(batch, entry.id);
            holder.record(batch, issued);
            if (later !== undefined) addEvidence(batch, evidence, later, { caller: caller.id, agent: holder.name });
          },
        };
      },
    },
    parts,
  );
}

/** What is true of it as far as the node says so now, the rest as it was attested. */
async function factsNow(
  { facts: before }: InstanceEvidence,
  { facts, runtime }: WorkloadRenewal,
  { reader }: IssuanceParts,
): Promise<EvidenceFacts> {
  // By what its owner calls it, it is known for ever; nobody sees that.
  const called = Object.hasOwn(before, REFERENCE) ? { [REFERENCE]: before[REFERENCE]! } : {};
  const seen = facts === undefined ? withoutAgentFacts(before) : { ...seenByNode(facts), ...called };
  const said =
    runtime === undefined ? onlyAgentFacts(before) : runtimeFacts(runtime, seen, await imageSignerOf(runtime, reader));
  return orderedFacts({ ...seen, ...said }, '/facts');
}

function nameOf(matcher: string): string {
  return matcher.slice(0, matcher.indexOf('='));
}

async function entryOf({ entry }: InstanceEvidence, { reader }: IssuanceParts): Promise<RegistrationEntry> {
  const found = entry === undefined ? undefined : await readEntry(reader, entry);
  if (found !== undefined) return found;
  throw new WritError('inactive', 'The registration entry that it was let in by was removed.', {
    remedy: 'Stop it, or let it in anew by another entry.',
  });
}

/** Recorded, since the caller is known. */
async function notItsOwn(caller: Caller, { subjects }: Holder, parts: IssuanceParts): Promise<WritError> {
  const reasons = ['A node gets certificates for what it let in itself by a registration entry.'];
  await parts.recordRefusal({
    type: 'certificate.refused',
    by: caller.id,
    code: 'denied',
    subjects,
    body: { action: 'workload.enrol', reasons },
  });
  return new WritError('denied', 'Not allowed: workload.enrol.', {
    remedy: 'Ask with the certificate of the node that let it in.',
    reasons,
  });
}
