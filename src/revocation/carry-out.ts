import { pushRemoval } from '../attest/entry/manage.ts';
import { entriesFor } from '../attest/entry/store.ts';
import { withdrawTokensGiving } from '../attest/token/store.ts';
import { pushRevoked } from '../ca/crl/revoked.ts';
import { type Cause, reasonCode } from '../ca/revocation-cause.ts';
import { type Batch, type CommitBatch, newBatch } from '../db/batch.ts';
import { committed } from '../db/committed.ts';
import { readAgent } from '../registry/agent-store.ts';
import { type CoveredInstance, coveredAgents, coveredInstances, unstoppedAmong } from '../registry/covered.ts';
import { deleteHold, labelFragment } from '../registry/hold.ts';
import { pushRetirement } from '../registry/retire.ts';
import { authorityListed, coveredCertificates, unexpiredOf } from './hold-certificates.ts';
import type { MarkingParts } from './parts.ts';
import { pushRevocation } from './revoke.ts';
import { STEP } from './steps.ts';
import { changedEvent } from './stop-event.ts';
import { finishMarking, readStop, type StopRecord } from './stop-store.ts';
import { pushStopped, type StopFacts } from './stopping-instance.ts';

/** How often a step is begun again because somebody else changed what it is about. */
const TRIES = 50;

/**
 * Stops for ever all that a stop covers, in bounded commits: agents are retired, instances stopped, certificates revoked
 * and their keys blocked. Since the stop began all of it is held, so nothing new comes under it meanwhile. What falls only
 * because of what it hangs on has the cause `cascade`; each entry names the stop, whose own say who and why. In the end
 * nothing is left to hold. Beside another that is at it, and after one that was cut off, this completes the same.
 */
export async function carryOut(stop: StopRecord, given: MarkingParts): Promise<StopRecord> {
  const { reader } = given;
  const parts = { ...given, commit: naming(stop, given.commit) };
  const direct: StopFacts = {
    at: stop.confirmedAt ?? stop.stoppedAt,
    cause: stop.cause,
    caller: stop.confirmedBy ?? stop.stoppedBy,
  };
  const derived: StopFacts = { ...direct, cause: 'cascade' satisfies Cause };
  const fallen = { agents: 0, instances: 0, certificates: 0 };

  for await (const names of coveredAgents(reader, stop)) {
    fallen.agents += await step((batch) => retire(batch, names, direct, parts), parts);
  }
  for await (const page of coveredInstances(reader, stop)) {
    const factsOf = new Map(page.map((one) => [one.id, one.derived ? derived : direct]));
    fallen.instances += await step((batch) => stopAll(batch, page, factsOf, parts), parts);
    // What is stopped gets no certificate any more, so these are all there are.
    fallen.certificates += await step(async (batch) => {
      let count = 0;
      for await (const rows of unexpiredOf([...factsOf.keys()], parts)) {
        for (const row of rows) await pushRevocation(batch, row, factsOf.get(row.instance!) ?? direct, parts);
        count += rows.length;
        break;
      }
      return count;
    }, parts);
  }
  if (stop.kind === 'certificate') {
    fallen.certificates += await step(async (batch) => {
      let count = 0;
      for await (const [row] of coveredCertificates(stop, parts)) {
        await pushRevocation(batch, row!, direct, parts);
        count++;
      }
      return count;
    }, parts);
  }
  // As long as it is held nobody comes in by them.
  const entries = stop.kind === 'label' ? await step((batch) => removeEntries(batch, stop, direct, parts), parts) : 0;
  return finish(stop, direct, { ...fallen, ...(stop.kind === 'label' ? { entries } : {}) }, given);
}

/** What falls names the stop that it fell with. */
function naming({ id }: StopRecord, commit: CommitBatch): CommitBatch {
  return (batch) => {
    const events = batch.events.map((event) => ({ ...event, body: { ...event.body, cascade_origin: id } }));
    return commit({ ...batch, events });
  };
}

/** Commits what `fill` pushes, again and again until that is nothing, and gives how many things it was in all. */
async function step(fill: (batch: Batch) => Promise<number>, parts: MarkingParts): Promise<number> {
  for (let [count, tries] = [0, 0]; ; ) {
    const batch = newBatch();
    const pushed = await fill(batch);
    if (pushed === 0) return count;
    batch.bumpsEpoch = true;
    batch.anchored = true;
    const commit = await parts.commit(batch);
    if (commit.committed) count += pushed;
    else if (commit.refusal !== 'conflict' || ++tries === TRIES) committed(commit);
  }
}

async function retire(
  batch: Batch,
  names: readonly string[],
  { at, cause, caller }: StopFacts,
  { reader }: MarkingParts,
): Promise<number> {
  let count = 0;
  for (const name of names) {
    const agent = await readAgent(reader, name);
    if (agent === undefined || agent.status === 'retired') continue;
    pushRetirement(batch, { kind: 'system', id: caller }, agent, at, cause);
    count++;
  }
  return count;
}

async function stopAll(
  batch: Batch,
  page: readonly CoveredInstance[],
  factsOf: ReadonlyMap<string, StopFacts>,
  { reader }: MarkingParts,
): Promise<number> {
  const left = await unstoppedAmong(reader, [...factsOf.keys()]);
  for (const one of page) if (left.has(one.id)) pushStopped(batch, one, factsOf.get(one.id)!);
  return left.size;
}

/** Registration entries that give a label let nobody in any more. */
async function removeEntries(
  batch: Batch,
  { target }: StopRecord,
  { caller }: StopFacts,
  { reader }: MarkingParts,
): Promise<number> {
  const entries = await entriesFor(reader, { label: labelFragment(target) }, { limit: STEP });
  for (const entry of entries) pushRemoval(batch, entry, caller);
  return entries.length;
}

async function finish(
  stop: StopRecord,
  { at, caller, cause }: StopFacts,
  fallen: Readonly<Record<string, number>>,
  { reader, clock, commit }: MarkingParts,
): Promise<StopRecord> {
  const now = (await readStop(reader, stop.id)) ?? stop;
  if (now.state !== 'revoking') return now;
  const batch = newBatch();
  finishMarking(batch, now, 'revoked');
  if (stop.kind === 'authority') {
    // What it signed has no force as long as it is held, which is for ever.
    const listed = await authorityListed(stop, { reader });
    if (listed !== undefined) pushRevoked(batch, listed, { at, reason: reasonCode(cause) });
    batch.events.push(changedEvent('authority.stopped', stop, caller, { at: new Date(at).toISOString(), cause }));
    batch.bumpsEpoch = true;
  } else {
    // As long as it was held they let nobody in.
    if (stop.kind === 'label') withdrawTokensGiving(batch, { label: labelFragment(stop.target) }, clock.now());
    deleteHold(batch, stop.id);
  }
  const milliseconds = Math.max(0, clock.now() - at);
  const tokens = stop.kind === 'label' ? { tokens: 'withdrawn' } : {};
  batch.events.push(changedEvent('stop.completed', stop, caller, { ...fallen, ...tokens, milliseconds }));
  batch.anchored = true;
  const outcome = await commit(batch);
  // Somebody else was at it, too, and was quicker.
  if (!outcome.committed && outcome.refusal !== 'conflict') committed(outcome);
  return (await readStop(reader, stop.id)) ?? now;
}
