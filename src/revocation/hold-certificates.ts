import { formatSerial } from '../ca/certificate/serial.ts';
import { heldOf, type ListedCertificate, pushHeld, pushReleased } from '../ca/crl/revoked.ts';
import { readAuthorities } from '../ca/hierarchy.ts';
import { type CertificateRow, readCertificate } from '../ca/index/certificates.ts';
import { listCertificates } from '../ca/index/pages.ts';
import type { CertificatePosition } from '../ca/index/walk.ts';
import { newBatch } from '../db/batch.ts';
import { committed } from '../db/committed.ts';
import { anyHeld, coveredInstances, heldAmong } from '../registry/covered.ts';
import { holdOn, readHold } from '../registry/hold.ts';
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
  if (stop.kind === 'authority') {
    const authority = await authorityListed(stop, parts);
    if (authority !== undefined) pushHeld(batch, authority, { at: stop.stoppedAt });
    batch.bumpsEpoch = true;
  }
  finishMarking(batch, stop);
  const commit = await parts.commit(batch);
  if (!commit.committed && commit.refusal !== 'conflict') committed(commit);
}

/** Takes the certificates of a released stop off the lists again, but for those that another stop holds. */
export async function releaseCertificates(stop: StopRecord, parts: MarkingParts): Promise<void> {
  for await (const rows of coveredCertificates(stop, parts)) await releaseFree(rows, stop, parts);
  const again = (await readStop(parts.reader, stop.id)) ?? stop;
  const batch = newBatch();
  if (stop.kind === 'authority') {
    const authority = await authorityListed(stop, parts);
    if (authority !== undefined) pushReleased(batch, authority, { at: parts.clock.now() });
    batch.bumpsEpoch = true;
  }
  finishMarking(batch, again);
  const commit = await parts.commit(batch);
  if (!commit.committed && commit.refusal !== 'conflict') committed(commit);
}

/**
 * Brings the lists in line with what holds the instances of an agent that was taken over by another team: what is free
 * now comes off, what is held by its new place goes on.
 */
export async function settleCertificates(agent: string, parts: MarkingParts): Promise<void> {
  for await (const rows of coveredCertificates(holdOn('agent', agent), parts)) {
    await releaseFree(rows, undefined, parts);
    const listed = await heldOf(parts.reader, rows);
    const others = await heldAmong(parts.reader, instancesOf(rows));
    const batch = newBatch();
    for (const row of rows) {
      if (row.instance === undefined || !others.has(row.instance) || listed.has(formatSerial(row.serial))) continue;
      pushHeld(batch, row, { at: parts.clock.now() });
      batch.events.push(certificateEvent('quarantined', row, undefined));
    }
    if (batch.events.length === 0) continue;
    batch.bumpsEpoch = true;
    batch.anchored = true;
    committed(await parts.commit(batch));
  }
}

/** Takes those of these certificates off the lists that nothing holds any more. */
async function releaseFree(
  rows: readonly CertificateRow[],
  origin: Pick<StopRecord, 'id'> | undefined,
  parts: MarkingParts,
): Promise<void> {
  const { reader, clock } = parts;
  for (let tries = 0; ; tries++) {
    const listed = await heldOf(reader, rows);
    const others = await heldAmong(reader, instancesOf(rows));
    const free: CertificateRow[] = [];
    for (const row of rows) {
      const serial = formatSerial(row.serial);
      if (!listed.has(serial) || (row.instance !== undefined && others.has(row.instance))) continue;
      const own = await readHold(reader, holdOn('certificate', serial));
      if (own === undefined) free.push(row);
    }
    if (free.length === 0) return;
    const batch = newBatch();
    const again = { want: 'absent', refusal: 'conflict', reason: 'It was quarantined meanwhile.' } as const;
    const instances = instancesOf(free);
    if (instances.length > 0) batch.checks.push({ ...anyHeld(instances), ...again });
    for (const row of free) {
      const sql = "SELECT 1 FROM hold WHERE kind = 'certificate' AND target = ?";
      batch.checks.push({ sql, params: [formatSerial(row.serial)], ...again });
      pushReleased(batch, row, { at: clock.now() });
      batch.events.push(certificateEvent('released', row, origin));
    }
    batch.bumpsEpoch = true;
    batch.anchored = true;
    const commit = await parts.commit(batch);
    if (commit.committed) return;
    if (commit.refusal !== 'conflict' || tries === TRIES) committed(commit);
  }
}

function instancesOf(rows: readonly CertificateRow[]): string[] {
  return [...new Set(rows.map(({ instance }) => instance).filter((id) => id !== undefined))];
}

/** The certificate of an authority that is stopped, for the lists of the one above it; of a root there is none. */
export async function authorityListed(
  { target }: Pick<StopRecord, 'target'>,
  { reader }: Pick<MarkingParts, 'reader'>,
): Promise<ListedCertificate | undefined> {
  const authority = (await readAuthorities(reader)).find(({ id }) => id === target);
  if (authority?.issuer === undefined) return undefined;
  const { serial, notAfter } = authority.certificate;
  return { serial, issuer: authority.issuer, expiresAt: notAfter };
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
