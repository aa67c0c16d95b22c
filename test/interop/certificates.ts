/** What the foreign judges are shown: every algorithm, every profile, and names that must not validate. */
import type { KeyObject } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newId } from '../../src/base/id.ts';
import type { NameScope } from '../../src/ca/authority/name-constraints.ts';
import type { Authority } from '../../src/ca/authority.ts';
import { makeSerial } from '../../src/ca/certificate/serial.ts';
import { signCrl } from '../../src/ca/crl/sign.ts';
import {
  type Chain,
  issueLeaf,
  leafRequest,
  makeChain,
  random,
  scopeOf,
  statusOf,
  TRUST_DOMAIN,
} from '../../src/ca/testdata/installation.ts';
import { encodePem } from '../../src/der/pem.ts';
import type { KeyAlgorithm } from '../../src/keys/generate.ts';
import { generateKey } from '../../src/keys/generate.ts';
import { localSigner } from '../../src/keys/local.ts';
import type { Name } from '../../src/spiffe-id/name.ts';
import { instanceId, operatorId, serverId } from '../../src/spiffe-id/subject.ts';
import { parseCertificate } from '../../src/x509/certificate.ts';
import type { GeneralName } from '../../src/x509/general-name.ts';
import { encodeLeafTbs } from '../../src/x509/leaf-template.ts';
import { parseIpAddress } from '../../src/x509/path/ip-address.ts';
import { keyIdentifier, parsePublicKey } from '../../src/x509/public-key.ts';
import { assembleCertificate } from '../../src/x509/tbs-certificate.ts';

/** Files of one chain; `leaves` by profile. */
export interface Issued {
  readonly algorithm: KeyAlgorithm;
  readonly folder: string;
  readonly root: string;
  readonly intermediate: string;
  readonly issuing: string;
  /** Intermediate and issuing in one file. */
  readonly untrusted: string;
  /** Lists of all three in one file. */
  readonly crls: string;
  readonly leaves: Readonly<Record<'agent' | 'service' | 'operator' | 'server', string>>;
}

export function scratchFolder(): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'writ-x509-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** Issues through the product's own path, for a set-up with loopback names. All are valid now. */
export async function issueAll(algorithm: KeyAlgorithm, parent: string): Promise<Issued> {
  const now = Date.now();
  const folder = mkdtempSync(join(parent, `${algorithm}-`));
  const chain = await makeChain(algorithm, scopeOf({ loopback: true, dns: ['corp.example'] }), now);
  const file = (name: string, label: string, ...ders: readonly Uint8Array[]): string => {
    const path = join(folder, name);
    writeFileSync(path, ders.map((der) => encodePem(label, der)).join(''));
    return path;
  };
  const pem = (name: string, ...authorities: Authority[]): string =>
    file(name, 'CERTIFICATE', ...authorities.map(({ certificate }) => certificate.raw));
  const id = newId(now, random);
  const names = {
    dns: ['planner.agents.example.com', 'a.corp.example'],
    addresses: [parseIpAddress('127.0.0.1')!, parseIpAddress('::1')!],
  };
  const requests = {
    agent: {
      context: {
        workflow: 'monthly-close',
        task: 'T-1',
        scopes: ['ledger.read', 'mail.send'],
        grantDigest: new Uint8Array(32).fill(7),
      },
    },
    service: { ...names, id: instanceId(TRUST_DOMAIN, 'service', 'billing' as Name, id) },
    operator: { id: operatorId(TRUST_DOMAIN, 'ada' as Name) },
    server: { ...names, id: serverId(TRUST_DOMAIN) },
  };
  const leaves: Record<string, string> = {};
  for (const [profile, request] of Object.entries(requests)) {
    const { der } = await issueLeaf(chain, await leafRequest(request, algorithm), { profile, now });
    leaves[profile] = file(`${profile}.pem`, 'CERTIFICATE', der);
  }
  const lists = await Promise.all(
    [chain.issuers.root, chain.issuers.intermediate, chain.issuer].map((issuer) =>
      signCrl(issuer, { number: now, lifetime: 86_400, revoked: [], now }),
    ),
  );
  return {
    algorithm,
    folder,
    root: pem('root.pem', chain.root),
    intermediate: pem('intermediate.pem', chain.intermediate),
    issuing: pem('issuing.pem', chain.issuing),
    untrusted: pem('untrusted.pem', chain.intermediate, chain.issuing),
    crls: file('crls.pem', 'X509 CRL', ...lists.map(({ der }) => der)),
    leaves: leaves as Issued['leaves'],
  };
}

/** A leaf that carries these names beside a good SPIFFE ID, and whether validators accept it. */
export interface NameCase {
  readonly name: string;
  readonly scope: Partial<NameScope>;
  readonly names: readonly GeneralName[];
  readonly valid: boolean;
  /** Who accepts it all the same (docs/STATUS.md, docs/HIERARCHY.md). */
  readonly but?: readonly ('go' | 'gnutls')[];
}

/** A name of a trust domain below ours, which no SPIFFE verifier judges by our root. */
export const BELOW = 'spiffe://a.agents.example.com/agent/x';

const dns = (value: string): GeneralName => ({ kind: 'dns', value });
const uri = (value: string): GeneralName => ({ kind: 'uri', value });
const email = (value: string): GeneralName => ({ kind: 'email', value });
const ip = (text: string): GeneralName => ({ kind: 'ip', value: parseIpAddress(text)! });

export const NAME_CASES: readonly NameCase[] = [
  { name: 'id of the trust domain', scope: {}, names: [], valid: true },
  { name: 'name of the trust domain', scope: {}, names: [dns('agents.example.com')], valid: true },
  { name: 'name below it', scope: {}, names: [dns('a.b.agents.example.com')], valid: true },
  { name: 'name above it', scope: {}, names: [dns('example.com')], valid: false },
  { name: 'name that ends like it', scope: {}, names: [dns('otheragents.example.com')], valid: false },
  { name: 'further subtree', scope: { dns: ['corp.example'] }, names: [dns('a.corp.example')], valid: true },
  { name: 'localhost where it is not permitted', scope: {}, names: [dns('localhost')], valid: false },
  { name: 'localhost', scope: { loopback: true }, names: [dns('localhost')], valid: true },
  { name: 'IPv4 where none is permitted', scope: {}, names: [ip('10.0.0.1')], valid: false },
  { name: 'IPv4 loopback where none is permitted', scope: {}, names: [ip('127.0.0.1')], valid: false },
  { name: 'IPv6 where none is permitted', scope: {}, names: [ip('2001:db8::1')], valid: false },
  { name: 'loopback', scope: { loopback: true }, names: [ip('127.0.0.1'), ip('::1')], valid: true },
  { name: 'IPv4 beside loopback', scope: { loopback: true }, names: [ip('10.0.0.1')], valid: false },
  { name: 'IPv6 beside loopback', scope: { loopback: true }, names: [ip('::2')], valid: false },
  { name: 'address in a network', scope: { networks: ['10.0.0.0/8'] }, names: [ip('10.200.0.1')], valid: true },
  { name: 'address beside a network', scope: { networks: ['10.0.0.0/8'] }, names: [ip('11.0.0.1')], valid: false },
  { name: 'IPv6 where only IPv4 is permitted', scope: { networks: ['10.0.0.0/8'] }, names: [ip('::1')], valid: false },
  {
    name: 'IPv4 where only IPv6 is permitted',
    scope: { networks: ['fd00::/8'] },
    names: [ip('10.0.0.1')],
    valid: false,
  },
  { name: 'nobody', scope: {}, names: [email('nobody@writ.invalid')], valid: false },
  { name: 'somebody there', scope: {}, names: [email('somebody@writ.invalid')], valid: false },
  { name: 'nobody in capitals', scope: {}, names: [email('NOBODY@writ.invalid')], valid: false },
  { name: 'mailbox of the trust domain', scope: {}, names: [email('ada@agents.example.com')], valid: false },
  { name: 'mailbox elsewhere', scope: { loopback: true }, names: [email('ada@example.org')], valid: false },
  {
    name: 'id of another trust domain',
    scope: {},
    names: [uri('spiffe://example.org/agent/x')],
    valid: false,
    but: ['gnutls'],
  },
  { name: 'id of a domain below', scope: {}, names: [uri(BELOW)], valid: false, but: ['go', 'gnutls'] },
  { name: 'URI without host', scope: {}, names: [uri('urn:writ:x')], valid: false, but: ['gnutls'] },
];

/** A chain of a scope that can also sign what the product refuses to prepare. `id`: in place of a good SPIFFE ID. */
export async function forge(
  scope: Partial<NameScope>,
  names: readonly GeneralName[],
  folder: string,
  id?: string,
): Promise<{ root: string; untrusted: string; leaf: string; key: string }> {
  const chain: Chain = await makeChain('ecdsa-p256', scopeOf(scope), Date.now());
  const { der, key } = await forgeLeaf(chain, names, id);
  const at = mkdtempSync(join(folder, 'names-'));
  const file = (name: string, ...ders: readonly Uint8Array[]): string => {
    const path = join(at, name);
    writeFileSync(path, ders.map((one) => encodePem('CERTIFICATE', one)).join(''));
    return path;
  };
  const keyFile = join(at, 'leaf.key');
  writeFileSync(keyFile, key.export({ type: 'pkcs8', format: 'pem' }));
  return {
    key: keyFile,
    root: file('root.pem', chain.root.certificate.raw),
    untrusted: file('untrusted.pem', chain.intermediate.certificate.raw, chain.issuing.certificate.raw),
    leaf: file('leaf.pem', der),
  };
}

/** A leaf with these names, whatever they are, by the issuing authority of a chain. */
export async function forgeLeaf(
  { issuer, issuingKey }: Chain,
  names: readonly GeneralName[],
  id: string = instanceId(TRUST_DOMAIN, 'agent', 'planner' as Name, newId(Date.now(), random)).uri,
): Promise<{ readonly der: Uint8Array; readonly key: KeyObject }> {
  const now = Date.now();
  const key = await generateKey('ecdsa-p256');
  const { spki } = localSigner(key);
  const second = Math.floor(now / 1000) * 1000;
  const tbs = encodeLeafTbs(statusOf(issuer, { revocation: 'revocable' }).template, {
    serial: makeSerial(now, 3600, random),
    notBefore: issuer.notBefore,
    notAfter: second + 3_600_000,
    spki,
    keyIdentifier: keyIdentifier(parsePublicKey(spki)),
    names: [uri(id), ...names],
  });
  const [signature] = await localSigner(issuingKey).sign([tbs]);
  return { der: parseCertificate(assembleCertificate(tbs, issuer.algorithm, signature!)).raw, key };
}
