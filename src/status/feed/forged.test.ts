/** Whoever stole the key of an authority signs certificates as he likes; none of them gets him past its hold or its stop. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { isWritError } from '../../base/error.ts';
import { makeResponderKey } from '../../ca/ocsp/responder.ts';
import { signOcsp } from '../../ca/ocsp/sign.ts';
import { encodePem } from '../../der/pem.ts';
import { generateKey } from '../../keys/generate.ts';
import { localSigner } from '../../keys/local.ts';
import type { Signer } from '../../keys/signer.ts';
import { FeedSignatures, type SignerFall } from '../../sdk/feed/signatures.ts';
import { certificateFacts } from '../../sdk/peer/facts.ts';
import { parseTrustDomain } from '../../spiffe-id/trust-domain.ts';
import type { FeedStatement } from '../../wire/feed-statement.ts';
import { type Certificate, parseCertificate } from '../../x509/certificate.ts';
import { parseCsr } from '../../x509/csr.ts';
import type { Extension } from '../../x509/extension.ts';
import { encodeAuthorityKeyIdentifier } from '../../x509/extensions/authority-key-identifier.ts';
import { encodeBasicConstraints } from '../../x509/extensions/basic-constraints.ts';
import { encodeExtendedKeyUsage, OCSP_SIGNING, SERVER_AUTH } from '../../x509/extensions/extended-key-usage.ts';
import { encodeKeyUsage } from '../../x509/extensions/key-usage.ts';
import { encodeSubjectAltName } from '../../x509/extensions/subject-alt-name.ts';
import { encodeSubjectKeyIdentifier } from '../../x509/extensions/subject-key-identifier.ts';
import { encodeName } from '../../x509/name.ts';
import { encodeCertId } from '../../x509/ocsp-cert-id.ts';
import { keyIdentifier, parsePublicKey } from '../../x509/public-key.ts';
import { assembleCertificate, encodeTbsCertificate } from '../../x509/tbs-certificate.ts';
import { FeedSigner } from './signer.ts';

const DOMAIN = parseTrustDomain('agents.example.com');
const NOW = 1_800_000_000_000;
const STATE: FeedStatement = { kind: 'state', log: 1, position: 7, epoch: 3, as_of: 1000, time: 1001 };

interface Authority {
  readonly certificate: Certificate;
  readonly signer: Signer;
  readonly key: Uint8Array;
}

/** `own` and `above`: the identifiers that it says it has, and is signed with. */
interface Wish {
  readonly subject?: Uint8Array;
  readonly spki: Uint8Array;
  readonly own: Uint8Array;
  readonly above: Uint8Array | undefined;
  readonly extensions: readonly Extension[];
}

const extension = (oid: string, critical: boolean, value: Uint8Array): Extension => ({ oid, critical, value });
const idOf = (spki: Uint8Array): Uint8Array => keyIdentifier(parsePublicKey(spki));

async function certify(signer: Signer, issuer: Uint8Array, wish: Wish): Promise<Certificate> {
  const tbs = encodeTbsCertificate({
    serial: Uint8Array.of(1, ...randomBytes(8)),
    algorithm: signer.algorithm,
    issuer,
    notBefore: NOW - 86_400_000,
    notAfter: NOW + 86_400_000,
    subject: wish.subject ?? encodeName([]),
    spki: wish.spki,
    extensions: [
      ...wish.extensions,
      extension('2.5.29.14', false, encodeSubjectKeyIdentifier(wish.own)),
      ...(wish.above === undefined ? [] : [extension('2.5.29.35', false, encodeAuthorityKeyIdentifier(wish.above))]),
    ],
  });
  const [signature] = await signer.sign([tbs]);
  return parseCertificate(assembleCertificate(tbs, signer.algorithm, signature!));
}

async function authority(name: string, above?: Authority): Promise<Authority> {
  const signer = localSigner(await generateKey('ecdsa-p256'));
  const subject = encodeName([['CN', name]]);
  const key = idOf(signer.spki);
  const certificate = await certify(above?.signer ?? signer, above?.certificate.subject.raw ?? subject, {
    ...{ subject, spki: signer.spki, own: key, above: above?.key ?? key },
    extensions: [
      extension('2.5.29.19', true, encodeBasicConstraints({ ca: true })),
      extension('2.5.29.15', true, encodeKeyUsage(['keyCertSign', 'cRLSign'])),
    ],
  });
  return { certificate, signer, key };
}

const root = await authority('root');
const issuing = await authority('issuing', root);
const subjectOf = ({ key }: Authority): string => `issuer:${Buffer.from(key).toString('hex')}`;
const pem = ({ raw }: Certificate): string => encodePem('CERTIFICATE', raw);

/** As a server, with whatever identifiers. */
async function server(
  ids: Partial<Pick<Wish, 'own' | 'above'>> = {},
): Promise<{ readonly leaf: Certificate; readonly signer: FeedSigner }> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }));
  const leaf = await certify(issuing.signer, issuing.certificate.subject.raw, {
    ...{ spki, own: idOf(spki), above: issuing.key, ...ids },
    extensions: [
      extension('2.5.29.17', true, encodeSubjectAltName([{ kind: 'uri', value: `spiffe://${DOMAIN}/writ/server` }])),
      extension('2.5.29.37', false, encodeExtendedKeyUsage([SERVER_AUTH])),
      extension('2.5.29.15', true, encodeKeyUsage(['digitalSignature'])),
    ],
  });
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  return { leaf, signer: new FeedSigner(DOMAIN, { key, chain: pem(leaf) + pem(issuing.certificate) }) };
}

/** What `by` says of a certificate, base64. */
async function good(certificate: Certificate, by: Authority): Promise<string> {
  const responder = await makeResponderKey('ecdsa-p256');
  const { spki } = parseCsr(responder.csr).publicKey;
  const certified = await certify(by.signer, by.certificate.subject.raw, {
    ...{ spki, own: idOf(spki), above: by.key },
    extensions: [
      extension('2.5.29.37', false, encodeExtendedKeyUsage([OCSP_SIGNING])),
      extension('2.5.29.15', true, encodeKeyUsage(['digitalSignature'])),
    ],
  });
  const id = encodeCertId(certificate, by.certificate);
  const { der } = signOcsp(responder.open(certified.raw), { answers: [{ id, status: { kind: 'good' } }], now: NOW });
  return Buffer.from(der).toString('base64');
}

/** What a follower for whom these have fallen makes of a server's word. */
function reading(signer: FeedSigner, fallen: Readonly<Record<string, SignerFall>>): string {
  const signatures = new FeedSignatures({
    identity: { roots: [pem(root.certificate)], trustDomain: DOMAIN },
    clock: { steady: () => 0, wall: () => NOW },
    fallen: (subject) => fallen[subject],
  });
  try {
    return signatures.read(signer.sign(STATE)).kind;
  } catch (error) {
    assert.ok(isWritError(error, 'bad_certificate'), String(error));
    return error.message;
  }
}

const HELD: SignerFall = { heldSince: NOW - 60_000 };

test('a held authority does not vouch for itself by a leaf that says it has its key', async () => {
  const honest = await server();
  assert.equal(reading(honest.signer, {}), 'state');
  assert.match(reading(honest.signer, { [subjectOf(issuing)]: HELD }), /is held/);
  honest.signer.setVouchers([await good(issuing.certificate, root)]);
  assert.equal(reading(honest.signer, { [subjectOf(issuing)]: HELD }), 'state');

  const forged = await server({ own: issuing.key });
  forged.signer.setVouchers([await good(forged.leaf, issuing)]);
  assert.match(reading(forged.signer, { [subjectOf(issuing)]: HELD }), /is held/);
});

test('a held root has nobody to vouch for it', async () => {
  const { signer } = await server();
  signer.setVouchers([await good(root.certificate, root)]);
  assert.match(reading(signer, { [subjectOf(root)]: HELD }), /is held/);
});

test('a leaf that names another key than the one it is signed with falls with that one', async () => {
  const { leaf, signer } = await server({ above: randomBytes(20) });
  const issuer = new X509Certificate(issuing.certificate.raw);
  assert.ok(!new X509Certificate(leaf.raw).checkIssued(issuer), 'OpenSSL takes none such over TLS');
  assert.match(reading(signer, { [subjectOf(issuing)]: 'stopped' }), /was stopped/);
  assert.match(reading(signer, { [subjectOf(issuing)]: HELD }), /is held/);
});

test('a certificate that names no key is nobody’s', async () => {
  const { leaf, signer } = await server({ above: undefined });
  assert.throws(
    () => certificateFacts(leaf.raw, DOMAIN),
    (error) => isWritError(error, 'bad_certificate'),
  );
  assert.notEqual(reading(signer, { [subjectOf(issuing)]: 'stopped' }), 'state');
});
