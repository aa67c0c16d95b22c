import { listCertificates } from '../ca/certificate-pages.ts';
import type { CertificatePosition } from '../ca/certificate-walk.ts';
import { type CertificateRow, readCertificate } from '../ca/certificates.ts';
import { heldOf, pushHeld, pushReleased } from '../ca/revoked.ts';
import { formatSerial } from '../ca/serial.ts';
import { newBatch } from '../db/batch.ts';
import { committed } from '../db/committed.ts';
import { anyHeld, coveredInstances, heldAmong } from '../registry/covered.ts';
import { readHold } from '../registry/hold.ts';
import type { MarkingParts } from './parts.ts';
import { STEP } from './steps.ts';
import { certificateEvent } from './stop-event.ts';
import { finishMarking, readStop, requireState, type StopRecord } from './stop-store.ts';

/** How often a step is begun again because something changed that it is about. */
const TRIES = 20;

/**
 * Puts every unexpired certificate that a quarantine covers on the revocation lists as held, in bounded commits. That they
 * have no force here is so from the first commit of the stop on. Ends early when the stop is not in force any more.
 */
export async function holdCertificates(stop: StopRecord, parts: MarkingParts): Promise<void> {
  for await (const rows of coveredCertificates(stop, parts)) {
    const held = await heldOf(parts.reader, rows);
    const fresh = rows.filter(({ serial }) => !held.has(formatSerial(serial)));
    if (fresh.length === 0) continue;
    const batch = newBatch();
    requireState(batch, stop);
    for (const row of fresh) {
      pushHeld(batch, row, { at: stop.stoppedAt });
      batch.events.push(certificateEvent('quarantined', row, stop));
    }
    batch.bumpsEpoch = true;
    batch.anchored = true;
    const commit = await parts.commit(batch);
    if (!commit.committed && commit.refusal === 'conflict') return;
    committed(commit);
  }
  const batch = newBatch();
  finishMarking(batch, stop);
  const commit = await parts.commit(batch);
  if (!commit.committed && commit.refusal !== 'conflict') committed(commit);
}

/** Takes the certificates of a released stop off the lists again, but for those that another stop holds. */
export async function releaseCertificates(stop: StopRecord, parts: MarkingParts): Promise<void> {
  for await (const rows of coveredCertificates(stop, parts)) {
    for (let tries = 0; ; tries++) {
      const held = await heldOf(parts.reader, rows);
      const instances = [...new Set(rows.map(({ instance }) => instance).filter((id) => id !== undefined))];
      const others = await heldAmong(parts.reader, instances);
      const free = [];
      for (const row of rows) {
        const serial = formatSerial(row.serial);
        if (!held.has(serial) || (row.instance !== undefined && others.has(row.instance))) continue;
        if ((await readHold(parts.reader, { kind: 'certificate', target: serial, descend: false })) === undefined) {
          free.push(row);
        }
      }
      const batch = newBatch();
      for (const row of free) {
        const serial = formatSerial(row.serial);
        batch.checks.push({
          sql: "SELECT 1 FROM hold WHERE kind = 'certificate' AND target = ?",
          params: [serial],
          want: 'absent',
          refusal: 'conflict',
          reason: 'The certificate was quarantined by itself meanwhile.',
        });
      }
      const going = [...new Set(free.map(({ instance }) => instance).filter((id) => id !== undefined))];
      if (going.length > 0) {
        const { sql, params } = anyHeld(going);
        batch.checks.push({
          sql,
          params,
          want: 'absent',
          refusal: 'conflict',
          reason: 'It was quarantined meanwhile.',
        });
      }
      for (const row of free) {
        pushReleased(batch, row, { at: parts.clock.now() });
        batch.events.push(certificateEvent('released', row, stop));
      }
      if (free.length === 0) break;
      batch.bumpsEpoch = true;
      batch.anchored = true;
      const commit = await parts.commit(batch);
      if (commit.committed) break;
      if (commit.refusal !== 'conflict' || tries === TRIES) committed(commit);
    }
  }
  const again = (await readStop(parts.reader, stop.id)) ?? stop;
  const batch = newBatch();
  finishMarking(batch, again);
  const commit = await parts.commit(batch);
  if (!commit.committed && commit.refusal !== 'conflict') committed(commit);
}

/** The unexpired and unrevoked certificates of what a stop covers, at most `STEP` at once. */
export async function* coveredCertificates(
  stop: Pick<StopRecord, 'kind' | 'target' | 'descend'>,
  parts: MarkingParts,
): AsyncGenerator<readonly CertificateRow[]> {
  if (stop.kind === 'certificate') {
    const row = await readCertificate(parts.certificates, new Uint8Array(Buffer.from(stop.target, 'hex')));
    if (row !== undefined && row.revoked === undefined && row.expiresAt > parts.clock.now()) yield [row];
    return;
  }
  for await (const page of coveredInstances(parts.reader, stop)) {
    yield* unexpiredOf(
      page.map(({ id }) => id),
      parts,
    );
  }
}

/** The unexpired and unrevoked certificates of some instances, at most `STEP` at once. */
export async function* unexpiredOf(
  instances: readonly string[],
  { certificates, clock }: MarkingParts,
): AsyncGenerator<readonly CertificateRow[]> {
  let from: CertificatePosition | undefined;
  do {
    const page = await listCertificates(certificates, { instances, state: 'active' }, clock.now(), STEP, from);
    if (page.rows.length > 0) yield page.rows;
    from = page.next;
  } while (from !== undefined);
}
