/** Certificates whose status is good, held, released and revoked, with all lists that say so, as files for foreign judges. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Authority, activeOf } from '../../src/ca/authority.ts';
import { readCertificate, revokeCertificateRow } from '../../src/ca/certificates.ts';
import type { ServedList } from '../../src/ca/crl-list.ts';
import { FullList } from '../../src/ca/full-list.ts';
import { readHierarchy } from '../../src/ca/hierarchy.ts';
import { openAuthority } from '../../src/ca/open-authority.ts';
import { type ListParts, shardList } from '../../src/ca/publish-shard.ts';
import { pushHeld, pushReleased } from '../../src/ca/revoked.ts';
import { ServedLists } from '../../src/ca/served-lists.ts';
import { type Batch, newBatch } from '../../src/db/batch.ts';
import { openSqlite } from '../../src/db/sqlite.ts';
import { encodePem } from '../../src/der/pem.ts';
import { createInstallation, letIn, newKey, register } from '../installation.ts';

/** Of whoever presents it, and what the lists say of it. */
export interface Subject {
  readonly status: 'good' | 'held' | 'released' | 'revoked';
  /** Hex. */
  readonly serial: string;
  /** Files: the certificate in PEM, with what follows it in TLS, and the key. */
  readonly leaf: string;
  readonly chain: string;
  readonly key: string;
}

export interface ListFile {
  /** PEM and DER. */
  readonly pem: string;
  readonly der: string;
  /** DER of the certificate that signed it, and in PEM. */
  readonly issuer: string;
  readonly issuerPem: string;
}

export interface Lists {
  readonly folder: string;
  readonly subjects: readonly Subject[];
  /** PEM. */
  readonly root: string;
  readonly untrusted: string;
  readonly lists: Readonly<
    Record<'root' | 'intermediate' | 'full' | 'shard' | 'delta' | 'shardBefore' | 'deltaBefore', ListFile>
  >;
  remove(): void;
}

export async function makeLists(): Promise<Lists> {
  const folder = mkdtempSync(join(tmpdir(), 'writ-lists-'));
  const database = openSqlite({ path: join(folder, 'writ.db') });
  const installation = await createInstallation(database, { start: Date.now() - 5000 });
  const { clock, keyring, commit, issuance } = installation;
  await register(installation, 'planner');
  const hierarchy = (await readHierarchy(database))!;
  const authority = (kind: Authority['kind']) => activeOf(hierarchy.authorities, kind)!;
  const issuing = authority('issuing');
  const parts: ListParts = {
    ...{ reader: database, commit, clock, statusUrl: 'http://status.agents.example.com' },
    issuer: async () => openAuthority(database, keyring, issuing, hierarchy.trustDomain),
  };
  const file = (name: string, content: string | Uint8Array): string => {
    const path = join(folder, name);
    writeFileSync(path, content);
    return path;
  };
  const pem = (...ders: readonly Uint8Array[]): string => ders.map((der) => encodePem('CERTIFICATE', der)).join('');

  const subjects: Subject[] = [];
  const serials: Record<string, Uint8Array> = {};
  for (const status of ['good', 'held', 'released', 'revoked'] as const) {
    const key = newKey();
    const issued = await letIn(installation, { agent: 'planner' }, key);
    serials[status] = issued.serial;
    subjects.push({
      status,
      serial: Buffer.from(issued.serial).toString('hex'),
      leaf: file(`${status}.pem`, pem(issued.der)),
      chain: file(`${status}-chain.pem`, pem(issued.der, ...issued.chain)),
      key: file(`${status}.key`, key.key.export({ type: 'pkcs8', format: 'pem' })),
    });
  }
  const act = async (push: (batch: Batch) => void | Promise<void>): Promise<void> => {
    const batch = newBatch();
    await push(batch);
    const answer = await commit(batch);
    if (!answer.committed) throw new Error(answer.reason);
  };
  const row = async (status: string) => (await readCertificate(issuance.certificates, serials[status]!))!;
  const shard = (await row('good')).shard!;
  const [held, released, revoked] = [await row('held'), await row('released'), await row('revoked')];
  await act((batch) => pushHeld(batch, released, { at: clock.now() }));
  const before = (await shardList(shard, parts))!;
  installation.advance(2000);
  const stop = { at: clock.now(), cause: 'key_theft', caller: 'system:test' } as const;
  await act((batch) => revokeCertificateRow(issuance.certificates, batch, revoked, stop));
  await act((batch) => pushHeld(batch, held, { at: clock.now() }));
  await act((batch) => pushReleased(batch, released, { at: clock.now() }));
  const after = (await shardList(shard, parts))!;
  await new FullList(issuing.id, parts).publish();
  const full = (await new ServedLists(parts).authority(issuing.id))!;

  const listFile = (name: string, der: Uint8Array, by: Authority): ListFile => ({
    pem: file(`${name}.crl.pem`, encodePem('X509 CRL', der)),
    der: file(`${name}.crl`, der),
    issuer: file(`${name}-issuer.cer`, by.certificate.raw),
    issuerPem: file(`${name}-issuer.pem`, pem(by.certificate.raw)),
  });
  const of = (kind: Authority['kind']) => hierarchy.crls.find((crl) => crl.authority === authority(kind).id)!.der;
  const of2 = (name: string, { crl }: ServedList): ListFile => listFile(name, crl, issuing);
  const lists = {
    root: listFile('root', of('root'), authority('root')),
    intermediate: listFile('intermediate', of('intermediate'), authority('intermediate')),
    full: of2('full', full),
    shard: of2('shard', after),
    delta: listFile('delta', after.delta!, issuing),
    shardBefore: of2('shard-before', before),
    deltaBefore: listFile('delta-before', before.delta!, issuing),
  };
  await installation.close();
  await database.close();
  return {
    ...{ folder, subjects, lists },
    root: file('root.pem', pem(authority('root').certificate.raw)),
    untrusted: file('untrusted.pem', pem(issuing.certificate.raw, authority('intermediate').certificate.raw)),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
