/**
 * An installation in this process whose OCSP answers are served over plain HTTP on loopback, in real time, for clients
 * that nobody here wrote, and certificates in every state that there is.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../src/base/log.ts';
import { rotateIssuing } from '../src/ca/authority/maintain.ts';
import { type Authority, activeOf } from '../src/ca/authority.ts';
import { prepareLeaf } from '../src/ca/certificate/prepare.ts';
import { signCertificate } from '../src/ca/certificate/sign.ts';
import { pushHeld, pushReleased } from '../src/ca/crl/revoked.ts';
import { readCertificate } from '../src/ca/index/certificates.ts';
import { ocspAnswers } from '../src/cmd/server/ocsp.ts';
import { newBatch } from '../src/db/batch.ts';
import { openSqlite } from '../src/db/sqlite.ts';
import { encodePem } from '../src/der/pem.ts';
import { DEFAULT_LIMITS, type Limits } from '../src/http/limits.ts';
import { HttpServer } from '../src/http/server.ts';
import type { CurrentAuthority } from '../src/issuance/current-authority.ts';
import type { KeyAlgorithm } from '../src/keys/generate.ts';
import { problemReplies } from '../src/rest/problems.ts';
import { revokeCertificate } from '../src/revocation/revoke.ts';
import { parseSpiffeId } from '../src/spiffe-id/spiffe-id.ts';
import { ocspRoutes } from '../src/status/ocsp/routes.ts';
import { parseCertificate } from '../src/x509/certificate.ts';
import { parseCsr } from '../src/x509/csr.ts';
import { ADA, createInstallation, type Installation, letIn, newKey, register } from './installation.ts';

/** A certificate with its key, in files of PEM too. */
export interface Member {
  readonly der: Uint8Array;
  readonly serial: Uint8Array;
  readonly certificate: string;
  readonly key: string;
  /** The certificate and those above it, without the root. */
  readonly chain: string;
  /** The issuing authority, and all authorities above the certificate together. */
  readonly issuer: string;
  readonly authorities: string;
}

export interface OcspSite {
  readonly installation: Installation;
  readonly authority: CurrentAuthority;
  /** `http://127.0.0.1:port` */
  readonly url: string;
  readonly folder: string;
  /** Files of the three authorities, and of all of them together; the issuing one is that of now. */
  readonly root: string;
  readonly intermediate: string;
  readonly issuing: string;
  readonly authorities: string;
  member(name: string): Promise<Member>;
  /** Lets the issuing authority be succeeded. */
  rotate(): Promise<void>;
  /** A certificate that the issuing authority signed, and that is nowhere on record. */
  stranger(): Promise<Member>;
  hold(member: Member): Promise<void>;
  release(member: Member): Promise<void>;
  revoke(member: Member): Promise<void>;
  close(): Promise<void>;
}

export async function ocspSite(
  options: { readonly algorithm?: KeyAlgorithm; readonly limits?: Partial<Limits> } = {},
): Promise<OcspSite> {
  const folder = mkdtempSync(join(tmpdir(), 'writ-ocsp-'));
  const database = openSqlite({ path: join(folder, 'writ.db') });
  const { algorithm = 'ecdsa-p256' } = options;
  const installation = await createInstallation(database, { start: Date.now(), algorithm });
  const { issuance, clock } = installation;
  const ticking = setInterval(() => installation.advance(Date.now() - clock.now()), 50);
  const authority = issuance.authority as CurrentAuthority;
  const answers = ocspAnswers({ ...installation, ...issuance, authority, hierarchy: { algorithm }, log: silentLog });
  const server = new HttpServer({
    routes: ocspRoutes(answers, clock),
    limits: { ...DEFAULT_LIMITS, ...options.limits },
    clock,
    problem: problemReplies(silentLog),
  });
  const { port } = await server.listen({ host: '127.0.0.1', port: 0 });
  await register(installation, 'planner');

  const pem = (der: Uint8Array): string => encodePem('CERTIFICATE', der);
  const save = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };
  const active = (kind: Authority['kind']): string => pem(activeOf(authority.authorities(), kind)!.certificate.raw);
  const keyPem = (key: ReturnType<typeof newKey>): string => key.key.export({ type: 'pkcs8', format: 'pem' }) as string;
  const saved = (
    name: string,
    der: Uint8Array,
    above: readonly Uint8Array[],
    key: ReturnType<typeof newKey>,
  ): Member => ({
    der,
    serial: parseCertificate(der).serial,
    certificate: save(`${name}.pem`, pem(der)),
    key: save(`${name}.key`, keyPem(key)),
    chain: save(`${name}-chain.pem`, [der, ...above].map(pem).join('')),
    issuer: save(`${name}-issuer.pem`, pem(above[0]!)),
    authorities: save(`${name}-authorities.pem`, above.map(pem).join('') + active('root')),
  });
  const saveIssuing = (): { readonly issuing: string; readonly authorities: string } => ({
    issuing: save('issuing.pem', active('issuing')),
    authorities: save('authorities.pem', active('issuing') + active('intermediate') + active('root')),
  });

  const mark = async ({ serial }: Member, push: typeof pushHeld): Promise<void> => {
    const batch = newBatch();
    push(batch, (await readCertificate(issuance.certificates, serial))!, { at: clock.now() });
    batch.bumpsEpoch = true;
    batch.events.push({ type: 'certificate.revoked', subjects: [], body: {} });
    await installation.commit(batch);
  };

  return {
    installation,
    authority,
    url: `http://127.0.0.1:${port}`,
    folder,
    root: save('root.pem', active('root')),
    intermediate: save('intermediate.pem', active('intermediate')),
    ...saveIssuing(),
    async rotate() {
      const { database: reader, commit, keyring, random } = installation;
      await rotateIssuing({ reader, commit, clock, keyring, random });
      await authority.refresh();
      saveIssuing();
    },
    async member(name) {
      const key = newKey();
      const { der, chain } = await letIn(installation, { agent: 'planner' }, key);
      return saved(name, der, chain, key);
    },
    async stranger() {
      const key = newKey();
      const issuer = authority.issuer();
      const { profile } = authority.profile('agent')!;
      const id = parseSpiffeId('spiffe://agents.example.com/agent/planner/01jd0000000000000000000000');
      const now = clock.now();
      const status = issuance.shards.next(issuer, profile.revocation, now);
      const means = { now, random: installation.random, status };
      const prepared = prepareLeaf(issuer, profile, { key: parseCsr(await key.csr()).publicKey, id }, means);
      const { der } = await signCertificate(issuer, prepared);
      return saved('stranger', der, authority.chain(issuer.id), key);
    },
    hold: (member) => mark(member, pushHeld),
    release: (member) => mark(member, pushReleased),
    revoke: async ({ serial }) => void (await revokeCertificate(ADA, { serial, cause: 'key_theft' }, issuance)),
    async close() {
      clearInterval(ticking);
      await server.close(100);
      await installation.close();
      await database.close();
      rmSync(folder, { recursive: true });
    },
  };
}
