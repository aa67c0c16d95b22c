import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemRandom } from '../../src/base/random.ts';
import { encodeCursor } from '../../src/db/cursor.ts';
import { encodePem } from '../../src/der/pem.ts';
import * as writer from '../../src/der/writer.ts';
import { encodeLeaf } from '../../src/ledger/entry.ts';
import { encodeBundle } from '../../src/merkle/bundle.ts';
import { formatCheckpoint } from '../../src/merkle/checkpoint.ts';
import { formatNote, noteSignature } from '../../src/merkle/note.ts';
import { formatVerifierKey, noteKey } from '../../src/merkle/note-key.ts';
import { formatTlogProof } from '../../src/merkle/tlog-proof.ts';
import { formatJoinToken } from '../../src/wire/join-token.ts';
import type { SignatureAlgorithm } from '../../src/x509/algorithm.ts';
import { encodeCsr } from '../../src/x509/csr.ts';
import { encodeExtensions } from '../../src/x509/extension.ts';
import { AGENT_CONTEXT, encodeAgentContext } from '../../src/x509/extensions/agent-context.ts';
import { AUTHORITY_INFO_ACCESS, encodeAuthorityInfoAccess } from '../../src/x509/extensions/authority-info-access.ts';
import {
  AUTHORITY_KEY_IDENTIFIER,
  encodeAuthorityKeyIdentifier,
} from '../../src/x509/extensions/authority-key-identifier.ts';
import { BASIC_CONSTRAINTS, encodeBasicConstraints } from '../../src/x509/extensions/basic-constraints.ts';
import { CERTIFICATE_POLICIES, encodeCertificatePolicies } from '../../src/x509/extensions/certificate-policies.ts';
import {
  CRL_DISTRIBUTION_POINTS,
  encodeCrlDistributionPoints,
} from '../../src/x509/extensions/crl-distribution-points.ts';
import {
  CLIENT_AUTH,
  EXTENDED_KEY_USAGE,
  encodeExtendedKeyUsage,
  SERVER_AUTH,
} from '../../src/x509/extensions/extended-key-usage.ts';
import {
  encodeIssuingDistributionPoint,
  ISSUING_DISTRIBUTION_POINT,
} from '../../src/x509/extensions/issuing-distribution-point.ts';
import { encodeKeyUsage, KEY_USAGE } from '../../src/x509/extensions/key-usage.ts';
import {
  encodeNameConstraints,
  NAME_CONSTRAINTS,
  type NameConstraints,
} from '../../src/x509/extensions/name-constraints.ts';
import { encodeNoRevAvail, NO_REV_AVAIL } from '../../src/x509/extensions/no-rev-avail.ts';
import { encodeReasonCode, REASON_CODE } from '../../src/x509/extensions/reason-code.ts';
import { encodeSubjectAltName, SUBJECT_ALT_NAME } from '../../src/x509/extensions/subject-alt-name.ts';
import {
  encodeSubjectKeyIdentifier,
  SUBJECT_KEY_IDENTIFIER,
} from '../../src/x509/extensions/subject-key-identifier.ts';
import type { GeneralName } from '../../src/x509/general-name.ts';
import { encodeName, parseName } from '../../src/x509/name.ts';
import { INHIBIT_ANY_POLICY, POLICY_CONSTRAINTS, POLICY_MAPPINGS } from '../../src/x509/path/policy-extensions.ts';
import { crlNumber, extension, issue, issueCrl, NOW } from '../../src/x509/path/testdata/issue.ts';
import { CORPUS } from './corpus.ts';

const AGENT = 'spiffe://agents.test/agent/planner/01jd0000000000000000000000';
const ID = '01jd0000000000000000000000';
const uri = (value: string): GeneralName => ({ kind: 'uri', value });
const dns = (value: string): GeneralName => ({ kind: 'dns', value });
const email = (value: string): GeneralName => ({ kind: 'email', value });
const ip = (...octets: number[]): GeneralName => ({ kind: 'ip', value: Uint8Array.from(octets) });
const directory: GeneralName = { kind: 'directory', value: parseName(encodeName([['O', 'Example']])) };
const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));
const hash = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);

type Files = Readonly<Record<string, Uint8Array | string>>;

/** Writes the corpus anew, one folder for each target. Keys are fresh, so the files differ from run to run. */
export async function makeCorpus(): Promise<void> {
  const corpus: Readonly<Record<string, Files>> = {
    ...certificates(),
    ...(await requests()),
    ...texts(),
    ...bodies(),
    ...log(),
  };
  rmSync(CORPUS, { recursive: true, force: true });
  for (const [target, files] of Object.entries(corpus)) {
    mkdirSync(join(CORPUS, target), { recursive: true });
    for (const [file, content] of Object.entries(files)) writeFileSync(join(CORPUS, target, file), content);
  }
}

const CONSTRAINTS: NameConstraints = {
  permitted: [
    uri('agents.test'),
    dns('agents.test'),
    email('nobody@invalid'),
    directory,
    ip(127, 0, 0, 0, 255, 0, 0, 0),
  ],
  excluded: [email('nobody@invalid'), ip(...new Array<number>(32).fill(0))],
};

function everyExtension(): Uint8Array {
  const identifier = hash(1).subarray(0, 20);
  const names = [uri(AGENT), dns('a.agents.test'), ip(127, 0, 0, 1), email('a@b.test'), directory];
  return encodeExtensions([
    extension(AUTHORITY_KEY_IDENTIFIER, encodeAuthorityKeyIdentifier(identifier)),
    extension(SUBJECT_KEY_IDENTIFIER, encodeSubjectKeyIdentifier(identifier)),
    extension(BASIC_CONSTRAINTS, encodeBasicConstraints({ ca: true, pathLength: 1 }), true),
    extension(KEY_USAGE, encodeKeyUsage(['keyCertSign', 'cRLSign']), true),
    extension(EXTENDED_KEY_USAGE, encodeExtendedKeyUsage([SERVER_AUTH, CLIENT_AUTH])),
    extension(SUBJECT_ALT_NAME, encodeSubjectAltName(names)),
    extension(NAME_CONSTRAINTS, encodeNameConstraints(CONSTRAINTS), true),
    extension(CERTIFICATE_POLICIES, encodeCertificatePolicies(['2.5.29.32.0', '1.2.3.4'])),
    extension(POLICY_MAPPINGS, writer.sequence(writer.sequence(writer.oid('1.2.3'), writer.oid('1.2.4')))),
    extension(POLICY_CONSTRAINTS, Buffer.from('3003800100', 'hex'), true),
    extension(INHIBIT_ANY_POLICY, writer.integer(0), true),
    extension(
      AUTHORITY_INFO_ACCESS,
      encodeAuthorityInfoAccess([{ method: '1.3.6.1.5.5.7.48.1', location: uri('http://o.test') }]),
    ),
    extension(CRL_DISTRIBUTION_POINTS, encodeCrlDistributionPoints([uri('http://c.test/1')])),
    extension(
      ISSUING_DISTRIBUTION_POINT,
      encodeIssuingDistributionPoint({ name: { fullName: [uri('http://c.test/1')] }, onlyUserCerts: true }),
      true,
    ),
    crlNumber(),
    extension(REASON_CODE, encodeReasonCode('keyCompromise')),
    extension(NO_REV_AVAIL, encodeNoRevAvail()),
    extension(
      AGENT_CONTEXT,
      encodeAgentContext({ workflow: 'nightly', task: 't-1', scopes: ['read', 'write'], grantDigest: hash(2) }),
    ),
  ]);
}

function certificates(): Record<string, Files> {
  const root = issue('Root', { ca: true, constraints: CONSTRAINTS, names: [uri('spiffe://agents.test')] });
  const middle = issue('Issuing', { ca: true, issuer: root, pathLength: 0, names: [uri('spiffe://agents.test')] });
  const usage = extension(EXTENDED_KEY_USAGE, encodeExtendedKeyUsage([SERVER_AUTH, CLIENT_AUTH]));
  const context = extension(AGENT_CONTEXT, encodeAgentContext({ scopes: ['read'] }));
  const extensions = { [EXTENDED_KEY_USAGE]: usage, [AGENT_CONTEXT]: context };
  const leaf = issue('', { issuer: middle, names: [uri(AGENT), dns('a.agents.test')], extensions });
  const der = { leaf: leaf.certificate.raw, middle: middle.certificate.raw, root: root.certificate.raw };
  const revoked = [
    { serial: Uint8Array.of(1, 2), revokedAt: NOW, reason: 'keyCompromise' as const },
    { serial: Uint8Array.of(3), revokedAt: NOW },
  ];
  return {
    der: {
      'ok-certificate': der.leaf,
      'ok-every-type': writer.sequence(
        writer.boolean(true),
        writer.encode(0x02, Buffer.of(0xff, 0x7f)),
        writer.bitString(Uint8Array.of(1, 2)),
        writer.octetString(Uint8Array.of(3)),
        writer.nullValue(),
        writer.oid('1.2.840.113549.1.1.11'),
        writer.enumerated(3),
        writer.utf8String('é'),
        writer.printableString('A b'),
        writer.ia5String('a@b'),
        writer.encode(0x17, Buffer.from('260601000000Z')),
        writer.encode(0x18, Buffer.from('20600601000000Z')),
        writer.encode(0x1e, Buffer.of(0, 65)),
        writer.encode(0xa0, writer.setOf(writer.integer(1), writer.integer(2))),
      ),
      'refused-indefinite-length': Buffer.from('30800000', 'hex'),
      'refused-long-length': Buffer.from('30820001ff', 'hex'),
      'refused-truncated': der.leaf.subarray(0, 50),
    },
    pem: {
      'ok-chain': `leaf:\n${encodePem('CERTIFICATE', der.leaf)}${encodePem('CERTIFICATE', der.root)}`,
      'refused-no-end': encodePem('CERTIFICATE', der.leaf).slice(0, -10),
      'refused-other-end': encodePem('CERTIFICATE', der.leaf).replace('END CERTIFICATE', 'END KEY'),
    },
    extension: { 'ok-every': everyExtension(), 'refused-empty': writer.sequence() },
    name: {
      'ok-empty': encodeName([]),
      'ok-many': encodeName([
        ['C', 'DE'],
        ['O', 'Example, Inc.'],
        ['OU', ' #+'],
        ['DC', 'test'],
        ['CN', 'a\u0007b'],
      ]),
      'ok-two-in-one': writer.sequence(writer.setOf(attribute('2.5.4.3', 'a'), attribute('1.2.3.4', 'b'))),
      'refused-empty-set': writer.sequence(writer.setOf()),
    },
    certificate: {
      'ok-leaf': der.leaf,
      'ok-authority': der.middle,
      'ok-root': der.root,
      'refused-tail': Buffer.concat([der.leaf, Buffer.of(0)]),
    },
    path: {
      'ok-0-leaf': der.leaf,
      'ok-1-authority': der.middle,
      'ok-2-root': der.root,
      'refused-truncated': der.leaf.subarray(0, -1),
    },
    crl: {
      'ok-empty': issueCrl({ issuer: root }).raw,
      'ok-two': issueCrl({ issuer: middle, revoked }).raw,
      'ok-leaf': issueCrl({ issuer: middle, revoked: [{ serial: leaf.certificate.serial, revokedAt: NOW }] }).raw,
      'refused-truncated': issueCrl({ issuer: middle, revoked }).raw.subarray(0, -1),
    },
  };
}

function attribute(type: string, text: string): Uint8Array {
  return writer.sequence(writer.oid(type), writer.utf8String(text));
}

async function requests(): Promise<Record<string, Files>> {
  const csr: Record<string, Uint8Array> = {};
  const keys: Record<string, Uint8Array> = {};
  const kinds: readonly (readonly [string, SignatureAlgorithm, { privateKey: KeyObject; publicKey: KeyObject }])[] = [
    ['p256', 'ecdsa-p256-sha256', generateKeyPairSync('ec', { namedCurve: 'P-256' })],
    ['p384', 'ecdsa-p384-sha384', generateKeyPairSync('ec', { namedCurve: 'P-384' })],
    ['ed25519', 'ed25519', generateKeyPairSync('ed25519')],
    ['rsa', 'rsa-pkcs1-sha256', generateKeyPairSync('rsa', { modulusLength: 2048 })],
    ['ml-dsa-44', 'ml-dsa-44', generateKeyPairSync('ml-dsa-44')],
  ];
  const wanted = extension(SUBJECT_ALT_NAME, encodeSubjectAltName([dns('a.agents.test')]));
  for (const [kind, algorithm, { privateKey, publicKey }] of kinds) {
    const spki = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }));
    const digest = /sha\d+$/.exec(algorithm)?.[0] ?? null;
    const subject = kind === 'p256' ? encodeName([['CN', 'planner']]) : encodeName([]);
    keys[`ok-${kind}`] = spki;
    csr[`ok-${kind}`] = await encodeCsr({
      spki,
      algorithm,
      subject,
      extensions: kind === 'p256' ? [wanted] : [],
      sign: async (message) => sign(digest, message, privateKey),
    });
  }
  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ type: 'spki', format: 'der' });
  const forged = Uint8Array.from(csr['ok-ed25519']!);
  forged[forged.length - 1]! ^= 1;
  const offCurve = Uint8Array.from(keys['ok-p256']!);
  offCurve[offCurve.length - 1]! ^= 1;
  return {
    'public-key': { ...keys, 'refused-weak-rsa': weak, 'refused-off-curve': offCurve },
    csr: { ...csr, 'refused-forged': forged },
  };
}

function texts(): Record<string, Files> {
  const token = formatJoinToken({
    rootFingerprint: hash(1),
    id: hash(2).subarray(16),
    secret: hash(3).subarray(12),
    address: 'writ.agents.test:7443',
  });
  return {
    'join-token': {
      'ok-plain': token,
      'ok-spaces': ` ${token}\n`,
      'refused-cut': token.slice(0, -1),
      'refused-version': token.replace('-1-', '-2-'),
    },
    'spiffe-id': {
      'ok-agent': AGENT,
      'ok-server': 'spiffe://agents.test/writ/server',
      'ok-domain': 'spiffe://agents.test',
      'ok-foreign': 'spiffe://10.1.2.3/a_b/C.d',
      'refused-dots': 'spiffe://agents.test/../x',
      'refused-port': 'spiffe://agents.test:443/x',
    },
    'trust-domain': {
      'ok-plain': 'agents.test',
      'ok-underscore': 'a_b',
      'refused-upper': 'Agents.test',
      'refused-empty': '',
    },
    hosts: {
      'ok-dns': 'a.agents.test',
      'ok-wildcard': '*.agents.test',
      'ok-ipv4': '192.0.2.1',
      'ok-ipv6': '2001:db8::1:0:0:1',
      'ok-mapped': '::ffff:192.0.2.1',
      'ok-mail': 'a.b+c@agents.test',
      'ok-uri': 'https://agents.test:8443/x?y#z',
    },
    cursor: {
      'ok-position': encodeCursor('agents', { status: 'active' }, ['planner', 7]),
      'refused-other-listing': encodeCursor('tokens', { status: 'active' }, ['planner', 7]),
      'refused-shape': encodeCursor('agents', { status: 'active' }, ['planner']),
    },
    'idempotency-key': {
      'ok-uuid': '0b0e3a52-2f3c-4f4e-9a51-3d4c8b1c2d3e',
      'ok-quoted': '"0b0e3a522f3c4f4e"',
      'refused-short': 'x',
    },
  };
}

function bodies(): Record<string, Files> {
  const wanted = {
    csr: 'MIIB',
    lifetime_seconds: 3600,
    dns_names: ['a.agents.test'],
    ip_addresses: ['127.0.0.1'],
    scopes: ['read'],
  };
  const agent = {
    name: 'planner',
    owner: { team: 'platform', sponsor: 'sam@example.test' },
    purpose: 'Plans.',
    environment: 'production',
    model: { provider: 'example', name: 'model', version: '1' },
    labels: { tier: 'a' },
  };
  const token = {
    agent: 'planner',
    uses: 3,
    lifetime_seconds: 600,
    workflow: 'nightly',
    scopes: ['read'],
    labels: { a: 'b' },
  };
  const profile = {
    name: 'batch',
    subjects: ['agent'],
    keys: ['ec-p256'],
    lifetime: { default: 3600, least: 300, most: 86400 },
    dns: ['agents.test'],
    networks: ['127.0.0.0/8', '2001:db8::/32'],
    context: true,
    revocation: 'none-yet',
  };
  const record = (type: 'log.started' | 'certificate.issued', body: Record<string, string | number>): Uint8Array =>
    encodeLeaf({ type, subjects: ['agent:planner', `instance:${ID}`], body }, { time: NOW, random: systemRandom() })
      .entry;
  const started = record('log.started', {});
  return {
    'json-body': {
      'ok-agent': json(agent),
      'ok-enrol': json({ token: 'writ-join-1-AAAA', ...wanted }),
      'ok-issue': json({ instance: ID, ...wanted }),
      'ok-renew': json(wanted),
      'ok-stop': json({ cause: 'decommissioned' }),
      'ok-token': json(token),
      'ok-policies': json({ text: 'permit (principal, action, resource);', after: 3 }),
      'refused-twice': '{"cause":"a","cause":"b"}',
      'refused-list': '[]',
      'refused-prototype': '{"__proto__":{"cause":"a"}}',
    },
    'agent-input': { 'ok-full': json(agent), 'refused-no-owner': json({ ...agent, owner: {} }) },
    'token-input': { 'ok-agent': json(token), 'refused-both': json({ ...token, service: 'planner' }) },
    'profile-input': { 'ok-batch': json(profile), 'refused-reserved': json({ ...profile, name: 'root' }) },
    'canonical-json': {
      'ok-nested': '{"a":[1,"é",true,{"b":-2}],"c":{}}',
      'ok-text': '"\\u0001\\n\\\\\\""',
      'refused-order': '{"b":1,"a":2}',
      'refused-space': '{"a": 1}',
      'refused-fraction': '[1.5]',
    },
    'ledger-entry': {
      'ok-started': started,
      'ok-issued': record('certificate.issued', { serial: '00', der: 'AAAA', count: 1 }),
      'refused-cut': started.subarray(0, -1),
    },
  };
}

function log(): Record<string, Files> {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const key = noteKey('agents.test/ledger', new Uint8Array(publicKey.export({ type: 'spki', format: 'der' })));
  const postQuantum = generateKeyPairSync('ml-dsa-44').publicKey.export({ type: 'spki', format: 'der' });
  const checkpoint = formatCheckpoint({ origin: 'agents.test/ledger', size: 1234, root: hash(7) });
  const signature = noteSignature(key, sign(null, Buffer.from(checkpoint), privateKey));
  const note = formatNote({ text: checkpoint, signatures: [signature] });
  const proof = { index: 3, hashes: [hash(1), hash(2), hash(3)], checkpoint: note };
  const entries = encodeBundle([Buffer.from('{"a":1}'), Buffer.alloc(0), Buffer.from('{"b":2}')]);
  return {
    note: {
      'ok-one': note,
      'ok-two': formatNote({ text: checkpoint, signatures: [signature, signature] }),
      'refused-unsigned': checkpoint,
    },
    checkpoint: {
      'ok-plain': checkpoint,
      'ok-empty-tree': formatCheckpoint({ origin: 'a', size: 0, root: hash(0) }),
      'refused-extension': `${checkpoint}more\n`,
    },
    'tlog-proof': {
      'ok-plain': formatTlogProof(proof),
      'ok-extra': formatTlogProof({ ...proof, extra: Buffer.from('{"a":1}') }),
      'refused-no-index': formatTlogProof(proof).replace('index 3\n', ''),
    },
    'verifier-key': {
      'ok-ed25519': formatVerifierKey(key),
      'ok-ml-dsa': formatVerifierKey(noteKey('agents.test/ledger', new Uint8Array(postQuantum))),
      'refused-id': formatVerifierKey(key).replace(/\+[0-9a-f]{8}\+/, '+00000000+'),
    },
    'tile-path': {
      'ok-full': 'tile/0/x001/x234/067',
      'ok-partial': 'tile/entries/000.p/7',
      'refused-padding': 'tile/0/x000/001',
    },
    'entry-bundle': {
      'ok-three': Buffer.concat([Buffer.of(3), entries]),
      'refused-width': Buffer.concat([Buffer.of(2), entries]),
    },
  };
}
