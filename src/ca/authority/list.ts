import { WritError } from '../../base/error.ts';
import { type Batch, newBatch } from '../../db/batch.ts';
import type { Reader } from '../../db/database.ts';
import { parseCrl } from '../../x509/crl.ts';
import {
  decodeReasonCode,
  REASON_CODE,
  type RevocationReason,
  reasonOfCode,
} from '../../x509/extensions/reason-code.ts';
import type { Act } from '../act.ts';
import { wholeSecond } from '../certificate/prepare.ts';
import type { ListParts } from '../crl/publish-shard.ts';
import { RELEASED, REVOKED_COLUMNS, type RevokedRow, revokedOf } from '../crl/revoked.ts';
import { nextCrlNumber, signCrl } from '../crl/sign.ts';
import { type Hierarchy, readHierarchy } from '../hierarchy.ts';
import type { Issuer } from '../issuer.ts';
import { LIFETIMES } from '../lifetime.ts';
import { addCrl } from './store.ts';

/** How often another process may be quicker. */
const TRIES = 8;

/**
 * The list of a root or an intermediate, about the authorities below it. It is signed on schedule (`rotation.ts`), and at
 * once when one of those is held, stopped for ever or released.
 */

/** The authorities below this one that are held or stopped for ever: nearly always none. */
export async function revokedBelow(reader: Reader, authority: string): Promise<RevokedRow[]> {
  const sql = `SELECT ${REVOKED_COLUMNS} FROM revoked WHERE issuer = ? AND reason <> ${RELEASED} ORDER BY sequence`;
  return (await reader.all(sql, [authority])).map(revokedOf);
}

/** Pushes the list of a root, good for a year, or of an intermediate, good for a month. `below`: what stands on it. */
export async function pushAuthorityList(
  batch: Batch,
  { crls }: Pick<Hierarchy, 'crls'>,
  issuer: Issuer,
  { below = [], now, caller }: Act & { readonly below?: readonly RevokedRow[] },
): Promise<void> {
  const crl = await signCrl(issuer, {
    number: nextCrlNumber(crls.find(({ authority }) => authority === issuer.id)?.number, now),
    lifetime: issuer.kind === 'root' ? LIFETIMES.rootCrl : LIFETIMES.intermediateCrl,
    revoked: below.map(({ serial, at, reason }) => ({ serial, revokedAt: wholeSecond(at), reason: nameOf(reason) })),
    latest: Math.max(0, ...below.map(({ at }) => at)),
    now,
  });
  addCrl(batch, issuer.id, crl, { now, caller });
}

/** Roots and intermediates whose keys are here and on whose list anything stands or stood. Ids. */
export async function authoritiesWithRevoked(reader: Reader, now: number): Promise<string[]> {
  const rows = await reader.all(
    "SELECT id FROM authority WHERE kind IN ('root', 'intermediate') AND key_id IS NOT NULL AND not_after > ? " +
      'AND EXISTS (SELECT 1 FROM revoked r WHERE r.issuer = authority.id)',
    [now],
  );
  return rows.map((row) => row['id'] as string);
}

/**
 * Signs and records the list of a root or an intermediate where the newest one does not say what is so now. Gives whether
 * this process did; another one that was quicker did it for all.
 */
export async function publishAuthorityList(id: string, parts: ListParts): Promise<boolean> {
  for (let tries = 0; tries < TRIES; tries++) {
    const outcome = await publishOnce(id, parts);
    // What the other has signed may lack what this one knows.
    if (outcome !== 'quicker') return outcome === 'done';
  }
  throw new WritError('unavailable', 'The list keeps changing.', { remedy: 'It is tried again in a moment.' });
}

/** `quicker`: another process was. */
async function publishOnce(id: string, parts: ListParts): Promise<'done' | 'nothing' | 'quicker'> {
  const { reader, commit, clock } = parts;
  const hierarchy = await readHierarchy(reader);
  const newest = hierarchy?.crls.find(({ authority }) => authority === id);
  // The first one comes with the authority.
  if (hierarchy === undefined || newest === undefined) return 'nothing';
  const now = clock.now();
  const below = await revokedBelow(reader, id);
  if (saysSo(newest.der, below)) return 'nothing';
  const issuer = await parts.issuer(id);
  if (issuer === undefined) return 'nothing';
  const batch = newBatch();
  await pushAuthorityList(batch, hierarchy, issuer, { below, now, caller: 'system:lists' });
  // As with other lists: it follows a revocation that is in the anchor.
  batch.anchored = true;
  const outcome = await commit(batch);
  if (outcome.committed) return 'done';
  if (outcome.refusal === 'conflict') return 'quicker';
  throw new WritError(outcome.refusal, outcome.reason);
}

function saysSo(der: Uint8Array, below: readonly RevokedRow[]): boolean {
  const said = parseCrl(der).entries.map(({ serial, revokedAt, extensions }) => {
    const code = extensions.find(({ oid }) => oid === REASON_CODE);
    return entry(serial, revokedAt, code === undefined ? 'unspecified' : decodeReasonCode(code.value));
  });
  const wanted = below.map(({ serial, at, reason }) => entry(serial, wholeSecond(at), nameOf(reason)));
  return said.sort().join() === wanted.sort().join();
}

function entry(serial: Uint8Array, at: number, reason: RevocationReason): string {
  return `${Buffer.from(serial).toString('hex')} ${at} ${reason}`;
}

function nameOf(reason: number): RevocationReason {
  return reasonOfCode(reason) ?? 'unspecified';
}
