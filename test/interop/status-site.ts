/**
 * One certificate of each status in one store, the lists that say so as files, and a responder that answers for them:
 * what every judge is shown, so that all can be held against the store and each other.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Caller } from '../../src/base/access.ts';
import { publishAuthorityList } from '../../src/ca/authority/list.ts';
import { activeOf } from '../../src/ca/authority.ts';
import { FullList } from '../../src/ca/crl/full-list.ts';
import { type ListParts, shardList } from '../../src/ca/crl/publish-shard.ts';
import { HELD, readRevoked } from '../../src/ca/crl/revoked.ts';
import { ServedLists } from '../../src/ca/crl/served.ts';
import { readHierarchy } from '../../src/ca/hierarchy.ts';
import { readCertificate } from '../../src/ca/index/certificates.ts';
import { encodePem } from '../../src/der/pem.ts';
import { quarantine } from '../../src/revocation/quarantine.ts';
import { releaseStop } from '../../src/revocation/release.ts';
import { stopForEver } from '../../src/revocation/stop.ts';
import { parseCertificate } from '../../src/x509/certificate.ts';
import { ADA } from '../installation.ts';
import { type Member, type OcspSite, ocspSite } from '../ocsp-site.ts';

/**
 * In the order in which they are shown, all by one authority. `unknown` was signed by it and is nowhere on record.
 */
export const STATUSES = ['good', 'held', 'revoked', 'released', 'unknown'] as const;
/** Certificates that nobody stopped by themselves, each by another authority, to which that was done. */
export const BELOW = ['below a held authority', 'below a revoked authority', 'below a released authority'] as const;
export type Status = (typeof STATUSES)[number] | (typeof BELOW)[number];
export const ALL: readonly Status[] = [...STATUSES, ...BELOW];

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
  /** By the issuer and the shard of each, now. */
  readonly listsOf: Readonly<Record<Status, Lists>>;
  /** Those of root and intermediate. */
  readonly above: readonly ListFile[];
  readonly intermediate: ListFile;
  /** Serial number of the issuer of a certificate, in hex. */
  issuerOf(member: Member): string;
  /** Asks the store. */
  stored(member: Member): Promise<Stored>;
}

export type Lists = Readonly<Record<'full' | 'shard' | 'delta', ListFile>>;

/** Needs no second person. */
const ADMINISTRATOR: Caller = { kind: 'system', id: 'system:administrator' };

export async function statusSite(): Promise<StatusSite> {
  const site = await ocspSite();
  const { installation, authority, folder } = site;
  const { database, commit, clock, issuance, random } = installation;
  const parts: ListParts = {
    ...{ reader: database, commit, clock, statusUrl: 'http://status.agents.example.com' },
    issuer: async (id) => authority.opened(authority.authorities().find((one) => one.id === id)!),
  };
  const row = async ({ serial }: Member) => readCertificate(issuance.certificates, serial);

  const below: Member[] = [];
  for (const name of ['below-held', 'below-revoked', 'below-released']) {
    below.push(await site.member(name));
    await site.rotate();
  }
  const [belowHeld, belowRevoked, belowReleased] = below as [Member, Member, Member];
  const members: StatusSite['members'] = {
    good: await site.member('good'),
    held: await site.member('held'),
    revoked: await site.member('revoked'),
    released: await site.member('released'),
    unknown: await site.stranger(),
    'below a held authority': belowHeld,
    'below a revoked authority': belowRevoked,
    'below a released authority': belowReleased,
  };

  const file = (name: string, der: Uint8Array, issuer: string): ListFile => {
    const [pem, raw] = [join(folder, `${name}.crl.pem`), join(folder, `${name}.crl`)];
    writeFileSync(pem, encodePem('X509 CRL', der));
    writeFileSync(raw, der);
    return { pem, der: raw, issuer };
  };
  const lists = async (name: string, member: Member): Promise<Lists> => {
    const { shard, issuer } = (await row(member))!;
    const { crl, delta } = (await shardList(shard!, parts))!;
    await new FullList(issuer, parts).publish();
    const { crl: whole } = (await new ServedLists(parts).authority(issuer))!;
    return {
      full: file(`full-${name}`, whole, member.issuer),
      shard: file(`shard-${name}`, crl, member.issuer),
      delta: file(`delta-${name}`, delta!, member.issuer),
    };
  };
  await site.hold(members.released);
  const before = await lists('before', members.good);
  await site.release(members.released);
  await site.hold(members.held);
  await site.revoke(members.revoked);

  const cord = { ...issuance, random, massStop: 100 };
  const targetOf = async (member: Member) => ({ kind: 'authority', name: (await row(member))!.issuer }) as const;
  const cause = 'authority_compromise';
  await quarantine(ADA, { target: await targetOf(belowHeld), cause }, cord);
  await stopForEver(ADMINISTRATOR, { target: await targetOf(belowRevoked), cause }, cord);
  const { id } = await quarantine(ADA, { target: await targetOf(belowReleased), cause }, cord);
  const intermediate = activeOf(authority.authorities(), 'intermediate')!.id;
  await publishAuthorityList(intermediate, parts);
  await releaseStop(ADMINISTRATOR, id, cord);
  await publishAuthorityList(intermediate, parts);

  const now = await lists('now', members.good);
  const hierarchy = (await readHierarchy(database))!;
  const above = hierarchy.crls.map(({ authority: of, der }) => {
    const { kind } = hierarchy.authorities.find((one) => one.id === of)!;
    return file(kind, der, kind === 'root' ? site.root : site.intermediate);
  });
  return {
    ...{ site, members, before, above, now },
    intermediate: above.find(({ issuer }) => issuer === site.intermediate)!,
    listsOf: {
      ...{ good: now, held: now, revoked: now, released: now, unknown: now },
      'below a held authority': await lists('below-held', belowHeld),
      'below a revoked authority': await lists('below-revoked', belowRevoked),
      'below a released authority': await lists('below-released', belowReleased),
    },
    issuerOf({ der }) {
      const { raw } = parseCertificate(der).issuer;
      const found = hierarchy.authorities.find(({ certificate }) => Buffer.from(certificate.subject.raw).equals(raw))!;
      return Buffer.from(found.certificate.serial).toString('hex');
    },
    async stored(member) {
      const found = await row(member);
      if (found === undefined) return 'unknown';
      const stop = await database.get(
        "SELECT s.state FROM hold h JOIN stop s ON s.id = h.stop WHERE h.kind = 'authority' AND h.target = ?",
        [found.issuer],
      );
      if (found.revoked !== undefined || stop?.['state'] === 'revoked') return 'revoked';
      const held = (await readRevoked(database, member.serial))?.reason === HELD;
      return held || stop !== undefined ? 'held' : 'good';
    },
  };
}
