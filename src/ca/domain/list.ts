import type { Batch } from '../../db/batch.ts';
import type { Reader } from '../../db/database.ts';
import { parseCrl } from '../../x509/crl.ts';
import { isListEnding } from '../authority/rotation.ts';
import { addCrl } from '../authority/store.ts';
import { wholeSecond } from '../certificate/prepare.ts';
import { nextCrlNumber, signCrl } from '../crl/sign.ts';
import { readCrl, type StoredCrl } from '../hierarchy.ts';
import { LIFETIMES } from '../lifetime.ts';
import { CAUSES } from '../revocation-cause.ts';
import type { DomainAuthority } from './domain.ts';
import type { DomainMeans, OpenDomainAuthority } from './make.ts';

/**
 * The revocation lists of a further trust domain: its root's, about the authorities that sign subordinate ones, and those of
 * these. They lie in the table of the lists of our own authorities and are served beside them. What the subordinate authorities
 * sign is on lists of their bearers.
 */

/** Milliseconds after its end for which what was revoked stands on lists. */
export const LEFT_AFTER: number = 7 * 86_400_000;

export async function domainLists(reader: Reader, authorities: readonly DomainAuthority[]): Promise<StoredCrl[]> {
  const above = authorities.filter(({ kind, state }) => kind !== 'subordinate' && state !== 'ended');
  const found = await Promise.all(above.map(({ id }) => readCrl(reader, id)));
  return found.filter((list) => list !== undefined);
}

function revokedBelow(id: string, authorities: readonly DomainAuthority[], now: number) {
  return authorities
    .filter(({ issuer, revoked, certificate }) => {
      return issuer === id && revoked !== undefined && certificate.notAfter + LEFT_AFTER > now;
    })
    .map(({ certificate: { serial }, revoked }) => ({
      ...{ serial, revokedAt: wholeSecond(revoked!.at), reason: CAUSES[revoked!.cause] },
    }));
}

/** Whether the list of an authority is to be signed now: because it ends, or does not say what is so. */
export function isListDue(
  of: DomainAuthority,
  {
    authorities,
    lists,
    now,
  }: {
    readonly authorities: readonly DomainAuthority[];
    readonly lists: readonly StoredCrl[];
    readonly now: number;
  },
): boolean {
  if (of.kind === 'subordinate' || of.state === 'ended' || of.certificate.notAfter <= now) return false;
  const last = lists.find(({ authority }) => authority === of.id);
  if (last === undefined || isListEnding(of, last, now)) return true;
  const said = new Set(parseCrl(last.der).entries.map(({ serial }) => Buffer.from(serial).toString('hex')));
  return revokedBelow(of.id, authorities, now).some(({ serial }) => !said.has(Buffer.from(serial).toString('hex')));
}

/**
 * Pushes the next list of a root, good for a year, or of an authority that signs subordinate ones, good for a month. With
 * `last` it is the last one, and good for as long as anything that it is about.
 */
export async function pushDomainList(
  batch: Batch,
  { authority, issuer }: OpenDomainAuthority,
  {
    authorities,
    lists,
    last = false,
  }: {
    readonly authorities: readonly DomainAuthority[];
    readonly lists: readonly StoredCrl[];
    readonly last?: boolean;
  },
  { now, caller }: Pick<DomainMeans, 'now' | 'caller'>,
): Promise<void> {
  const { id, kind, certificate } = authority;
  const usual = kind === 'root' ? LIFETIMES.rootCrl : LIFETIMES.intermediateCrl;
  const revoked = revokedBelow(id, authorities, now);
  const crl = await signCrl(issuer, {
    number: nextCrlNumber(lists.find((one) => one.authority === id)?.number, now),
    // No list outlives who signed it.
    lifetime: last ? Math.ceil((certificate.notAfter - now) / 1000) : usual,
    latest: Math.max(0, ...revoked.map(({ revokedAt }) => revokedAt)),
    revoked,
    now,
  });
  addCrl(batch, id, crl, { now, caller });
}
