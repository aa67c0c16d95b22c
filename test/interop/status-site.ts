/**
 * One certificate of each status in one store, the lists that say so as files, and a responder that answers for them:
 * what every judge is shown, so that all can be held against the store and each other.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { activeOf } from '../../src/ca/authority.ts';
import { readCertificate } from '../../src/ca/certificates.ts';
import { FullList } from '../../src/ca/full-list.ts';
import { readHierarchy } from '../../src/ca/hierarchy.ts';
import { type ListParts, shardList } from '../../src/ca/publish-shard.ts';
import { HELD, readRevoked } from '../../src/ca/revoked.ts';
import { ServedLists } from '../../src/ca/served-lists.ts';
import { encodePem } from '../../src/der/pem.ts';
import { type Member, type OcspSite, ocspSite } from '../ocsp-site.ts';

/** In the order in which they are shown. `unknown` was signed by the authority and is nowhere on record. */
export const STATUSES = ['good', 'held', 'revoked', 'released', 'unknown'] as const;
export type Status = (typeof STATUSES)[number];

/** What the store says. */
export type Stored = 'good' | 'held' | 'revoked' | 'unknown';

export interface ListFile {
  /** PEM and DER. */
  readonly pem: string;
  readonly der: string;
  /** PEM of the authority that signed it. */
  readonly issuer: string;
}

export interface StatusSite {
  readonly site: OcspSite;
  readonly members: Readonly<Record<Status, Member>>;
  /** By who is not on them: as they were when `released` was held, and `held` and `revoked` were good. */
  readonly before: Lists;
  readonly now: Lists;
  /** Those of root and intermediate. */
  readonly above: readonly ListFile[];
  /** Asks the store. */
  stored(member: Member): Promise<Stored>;
}

type Lists = Readonly<Record<'full' | 'shard' | 'delta', ListFile>>;

export async function statusSite(): Promise<StatusSite> {
  const site = await ocspSite();
  const { installation, authority, folder } = site;
  const { database, commit, clock, issuance } = installation;
  const issuing = activeOf(authority.authorities(), 'issuing')!;
  const parts: ListParts = {
    ...{ reader: database, commit, clock, statusUrl: 'http://status.agents.example.com' },
    issuer: async () => authority.opened(issuing),
  };
  const members = {
    good: await site.member('good'),
    held: await site.member('held'),
    revoked: await site.member('revoked'),
    released: await site.member('released'),
    unknown: await site.stranger(),
  };
  const file = (name: string, der: Uint8Array, issuer = site.issuing): ListFile => {
    const [pem, raw] = [join(folder, `${name}.crl.pem`), join(folder, `${name}.crl`)];
    writeFileSync(pem, encodePem('X509 CRL', der));
    writeFileSync(raw, der);
    return { pem, der: raw, issuer };
  };
  const row = async ({ serial }: Member) => readCertificate(issuance.certificates, serial);
  const { shard } = (await row(members.good))!;
  const full = new FullList(issuing.id, parts);
  const lists = async (name: string) => {
    const { crl, delta } = (await shardList(shard!, parts))!;
    await full.publish();
    const { crl: whole } = (await new ServedLists(parts).authority(issuing.id))!;
    return {
      full: file(`full-${name}`, whole),
      shard: file(`shard-${name}`, crl),
      delta: file(`delta-${name}`, delta!),
    };
  };
  await site.hold(members.released);
  const before = await lists('before');
  await site.release(members.released);
  await site.hold(members.held);
  await site.revoke(members.revoked);
  const now = await lists('now');
  const hierarchy = (await readHierarchy(database))!;
  return {
    ...{ site, members, before, now },
    above: hierarchy.crls.map(({ authority: id, der }) => {
      const { kind } = hierarchy.authorities.find((one) => one.id === id)!;
      return file(kind, der, kind === 'root' ? site.root : site.intermediate);
    }),
    async stored(member) {
      if ((await readRevoked(database, member.serial))?.reason === HELD) return 'held';
      const found = await row(member);
      return found === undefined ? 'unknown' : found.revoked === undefined ? 'good' : 'revoked';
    },
  };
}
