import type { Authorize, Caller } from '../base/access.ts';
import type { Clock } from '../base/clock.ts';
import { demand } from '../base/demand.ts';
import { WritError } from '../base/error.ts';
import type { Log } from '../base/log.ts';
import { type CommitBatch, newBatch } from '../db/batch.ts';
import { committed } from '../db/committed.ts';
import type { Reader } from '../db/database.ts';
import type { Idempotency, Json } from '../http/idempotency.ts';
import { agentResource } from '../registry/agent.ts';
import { readAgent } from '../registry/agent-store.ts';
import { type Instance, readInstance } from '../registry/instance.ts';
import type { Canary, CanaryReport } from '../wire/canary.ts';
import { CANARY_LIMIT_MS } from '../wire/canary-limit.ts';
import { type CanaryRow, canaryAnswer, nextCanary, pushCanary, pushCanaryRemoval, readCanary } from './canary-store.ts';

export interface CanaryParts {
  readonly reader: Reader;
  readonly authorize: Authorize;
  readonly commit: CommitBatch;
  readonly clock: Clock;
  readonly log: Log;
}

interface WriteOptions {
  readonly idempotency?: Idempotency | undefined;
}

/** Reports of one point that come at the same moment are recorded one after another, so often at most. */
const ATTEMPTS = 5;

/**
 * Records what a runner found at a point. Only an instance reports, only of a child of its own that is stopped, and of each
 * child once: what it says goes to the row of its own agent's point and to nobody else's. A repeat is answered as the first
 * time.
 *
 * Throws `denied`, `not_found` for a child that is not the caller's, `conflict` for one that is not stopped or was stopped
 * before the one that was reported last, `bad_request` for figures that contradict the verdict, `too_large` when too many
 * points are known.
 */
export async function recordCanary(
  caller: Caller,
  report: CanaryReport,
  parts: CanaryParts,
  { idempotency }: WriteOptions = {},
): Promise<CanaryRow> {
  const { reader, clock, log } = parts;
  const { point, verdict } = report;
  const agent = caller.agent === undefined ? undefined : await readAgent(reader, caller.agent);
  if (agent === undefined || caller.instance === undefined) {
    throw new WritError('denied', 'Canaries report what they found themselves.', {
      remedy: 'Run "writ canary run" as an instance of the agent that measures.',
    });
  }
  const resource = agentResource(agent);
  demand(parts.authorize, { caller, action: 'canary.report', resource, context: { point, verdict } });
  const first = await idempotency?.first();
  requireSense(report);
  for (let attempt = 1; ; attempt++) {
    const before = await readCanary(reader, agent.name, point);
    if (before !== undefined && (first !== undefined || before.report.child === report.child)) return before;
    const child = await stoppedChild(report.child, caller, reader);
    if (before !== undefined && child.stoppedAt <= before.stoppedAt) {
      throw new WritError('conflict', 'What was measured later is known already.', { field: '/child' });
    }
    const row = nextCanary(before, {
      ...{ agent: agent.name, report, runner: caller.instance },
      ...{ stoppedAt: child.stoppedAt, reportedAt: clock.now() },
    });
    const batch = newBatch();
    pushCanary(batch, row);
    batch.events.push({
      type: 'canary.measured',
      subjects: [`agent:${agent.name}`, `instance:${caller.instance}`, `instance:${report.child}`],
      body: { ...report, caller: caller.id, committed_at: new Date(child.stoppedAt).toISOString() },
    });
    idempotency?.keep(batch, { kind: 'reference', reference: report.child });
    const outcome = await parts.commit(batch);
    if (!outcome.committed && outcome.refusal === 'conflict' && attempt < ATTEMPTS) continue;
    committed(outcome);
    if (verdict === 'still_accepted') {
      log.error('canary: an identity that was stopped is still accepted', { point, agent: agent.name });
    }
    return row;
  }
}

/**
 * Takes a point out of the listing: it is no longer looked at. Gives it as it was. Throws `denied`, `needs_approval`,
 * `not_found`.
 */
export async function removeCanary(
  caller: Caller,
  { agent: name, point }: { readonly agent: string; readonly point: string },
  parts: CanaryParts,
  { idempotency }: WriteOptions = {},
): Promise<Canary> {
  const resource = { type: 'Installation', id: 'writ' } as const;
  demand(parts.authorize, { caller, action: 'canary.remove', resource });
  const first = await idempotency?.first();
  if (first?.kind === 'value') return first.value as unknown as Canary;
  const row = await readCanary(parts.reader, name, point);
  if (row === undefined) throw new WritError('not_found', 'No such point has been reported.', { field: '{point}' });
  const removed = canaryAnswer(row, parts.clock.now());
  const batch = newBatch();
  pushCanaryRemoval(batch, name, point);
  batch.events.push({
    type: 'canary.removed',
    subjects: [`agent:${name}`],
    body: { caller: caller.id, agent: name, point },
  });
  idempotency?.keep(batch, { kind: 'value', value: removed as unknown as Json });
  committed(await parts.commit(batch));
  return removed;
}

async function stoppedChild(
  id: string,
  { instance, agent }: Caller,
  reader: Reader,
): Promise<Required<Pick<Instance, 'stoppedAt'>>> {
  const child = await readInstance(reader, id);
  if (child === undefined || child.parent !== instance || child.agent !== agent) {
    throw new WritError('not_found', 'The caller has let in no such instance.', {
      field: '/child',
      remedy: 'Report with the identity whose join token let it in.',
    });
  }
  if (child.stoppedAt === undefined) {
    throw new WritError('conflict', 'The child is not stopped.', { field: '/child', remedy: 'Stop it first.' });
  }
  return { stoppedAt: child.stoppedAt };
}

/** A success has its figure, within the limit; a failure is beyond it. */
function requireSense({ verdict, time_to_effect_ms: took, refused_ms: refused }: CanaryReport): void {
  const field = '/verdict';
  if (verdict === 'refused' && (took === undefined || refused === undefined || took > CANARY_LIMIT_MS)) {
    throw new WritError('bad_request', 'What was refused in time has figures that say so.', {
      field,
      remedy: `Give refused_ms, and time_to_effect_ms of at most ${CANARY_LIMIT_MS}.`,
    });
  }
  if (verdict === 'still_accepted' && (took === undefined || took <= CANARY_LIMIT_MS)) {
    throw new WritError('bad_request', 'What was still accepted has a figure that says so.', {
      field,
      remedy: `Give a time_to_effect_ms of more than ${CANARY_LIMIT_MS}.`,
    });
  }
}
