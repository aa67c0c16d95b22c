import { WritError } from '../base/error.ts';
import type { CertificateRow } from '../ca/index/certificates.ts';
import { type CertificateFilter, listCertificates } from '../ca/index/pages.ts';
import { beginStop, finishStop, type UnfinishedStop } from '../ca/index/unfinished-stop.ts';
import type { CertificatePosition } from '../ca/index/walk.ts';
import { type Batch, newBatch } from '../db/batch.ts';
import { whenAnchored } from '../db/when-anchored.ts';
import { tooManyStops } from '../registry/stop-rate.ts';
import type { MarkingParts } from './parts.ts';
import { pushRevocation } from './revoke.ts';

/** Certificates that one commit marks: a few milliseconds of the writer's time. */
export const STEP = 64;

/** How often a step is begun again because something changed that it is about. */
const TRIES = 8;

/** From this try on the first step is the stop alone, which nothing that its holder does in a hurry can get in front of. */
const ALONE = 2;

/** A stop of a holder of certificates. */
export interface Stopping extends UnfinishedStop {
  readonly filter: Pick<CertificateFilter, 'agent' | 'instance' | 'operator'>;
  /**
   * Looks at the holder before its certificates are looked for, and gives what pushes the stop itself. Undefined when it
   * is stopped already. After the stop no certificate comes into being; `whole` asks that none did since the look.
   */
  begin(): Promise<((batch: Batch, whole: boolean) => void) | undefined>;
  /** Whether `whole` can be asked. */
  readonly canBeWhole: boolean;
  /** Pushes what else belongs to the revocation of these certificates. */
  also?(batch: Batch, rows: readonly CertificateRow[]): Promise<void>;
}

/**
 * Carries out a stop in bounded commits. The first stops the holder, from where on nothing of it has any force; each marks
 * some of its unexpired certificates and blocks their keys, with the time and cause of the stop. Where all of it fits,
 * the first is the only one; where the holder renews or replaces so fast that this never fits, the first stops it and does
 * no more. A crash in between is made good by `finishStops`.
 */
export async function stopInSteps(stopping: Stopping, parts: MarkingParts): Promise<void> {
  for (let tries = 0; ; tries++) {
    if (tries === TRIES) throw changing();
    const push = await stopping.begin();
    if (push === undefined) return whenAnchored(parts.commit);
    const alone = tries >= ALONE;
    const { rows, more } = alone ? NOTHING_YET : await unexpired(stopping.filter, parts);
    const whole = stopping.canBeWhole && !more;
    const batch = newBatch();
    push(batch, whole);
    if (!whole) beginStop(batch, stopping);
    if (!(await commitStep(batch, rows, stopping, parts))) continue;
    if (!whole) await markRest(stopping, parts);
    return;
  }
}

const NOTHING_YET = { rows: [], more: true } as const;

/** Marks what is left of a stop that has begun. */
export async function markRest(stopping: Omit<Stopping, 'begin' | 'canBeWhole'>, parts: MarkingParts): Promise<void> {
  for (let tries = 0; tries < TRIES; tries++) {
    const { rows, more } = await unexpired(stopping.filter, parts);
    const batch = newBatch();
    if (!more) finishStop(batch, stopping.subject);
    if (!(await commitStep(batch, rows, stopping, parts))) continue;
    if (!more) return;
    tries = -1;
  }
  throw changing();
}

/** False when something changed that the step is about: then it is to be looked at again. */
async function commitStep(
  batch: Batch,
  rows: readonly CertificateRow[],
  { stoppedAt, cause, stoppedBy, also }: Pick<Stopping, 'stoppedAt' | 'cause' | 'stoppedBy' | 'also'>,
  parts: MarkingParts,
): Promise<boolean> {
  await also?.(batch, rows);
  for (const row of rows) await pushRevocation(batch, row, { at: stoppedAt, cause, caller: stoppedBy }, parts);
  batch.bumpsEpoch ||= batch.events.length > 0;
  batch.anchored = true;
  const commit = await parts.commit(batch);
  if (commit.committed || commit.refusal === 'conflict') return commit.committed;
  throw commit.refusal === 'rate_limited' ? tooManyStops(commit.reason) : new WritError(commit.refusal, commit.reason);
}

/** Certificates that are neither expired nor marked, at most `STEP` of them. */
async function unexpired(
  filter: Stopping['filter'],
  { certificates, clock }: MarkingParts,
): Promise<{ readonly rows: readonly CertificateRow[]; readonly more: boolean }> {
  const rows: CertificateRow[] = [];
  const active = { ...filter, state: 'active' } as const;
  let from: CertificatePosition | undefined;
  do {
    const page = await listCertificates(certificates, active, clock.now(), STEP + 1 - rows.length, from);
    rows.push(...page.rows);
    from = page.next;
  } while (from !== undefined && rows.length <= STEP);
  return { rows: rows.slice(0, STEP), more: rows.length > STEP };
}

function changing(): WritError {
  return new WritError('conflict', 'What is to be stopped keeps changing.', { remedy: 'Repeat the request.' });
}
