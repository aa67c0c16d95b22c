import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { test } from 'node:test';
import { isWritError } from '../../base/error.ts';
import { isImageSigned, parseCosign } from './image-signature.ts';

const HEX = 'a'.repeat(64);
const DIGEST = `sha256:${HEX}`;
const TYPE = 'application/vnd.in-toto+json';

const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const other = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const ed = generateKeyPairSync('ed25519');
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pem = ({ publicKey }: { readonly publicKey: KeyObject }): string =>
  publicKey.export({ type: 'spki', format: 'pem' }) as string;

const STATEMENT = {
  _type: 'https://in-toto.io/Statement/v1',
  subject: [{ name: 'registry.example.com/planner', digest: { sha256: HEX } }],
  predicateType: 'https://sigstore.dev/cosign/sign/v1',
  predicate: {},
};

/** A bundle as `cosign sign --key` puts it beside an image. */
function bundleOf(
  key: KeyObject,
  { statement = STATEMENT as object, type = TYPE, signed }: { statement?: object; type?: string; signed?: object } = {},
): Record<string, unknown> {
  const octets = (value: object): Buffer => Buffer.from(JSON.stringify(value));
  const payload = octets(signed ?? statement);
  const message = Buffer.concat([Buffer.from(`DSSEv1 ${type.length} ${type} ${payload.length} `), payload]);
  const sig = sign(key.asymmetricKeyType === 'ed25519' ? null : 'sha256', message, key).toString('base64');
  return {
    mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
    verificationMaterial: { publicKey: { hint: 'x' }, tlogEntries: [] },
    dsseEnvelope: {
      payload: octets(statement).toString('base64'),
      payloadType: type,
      signatures: [{ sig, keyid: '' }],
    },
  };
}

const isSigned = (bundle: object, keys = [ec, ed, rsa], digest = DIGEST): boolean =>
  isImageSigned(JSON.stringify(bundle), digest, parseCosign({ keys: keys.map(pem) }));

test('an image is signed by one of the keys, of whichever kind', () => {
  for (const { privateKey } of [ec, ed, rsa]) assert.equal(isSigned(bundleOf(privateKey)), true);
});

test('what is no signature of this image by such a key is none', () => {
  const good = bundleOf(ec.privateKey);
  const envelope = good['dsseEnvelope'] as Record<string, unknown>;
  const cases: Record<string, boolean> = {
    'another image': isSigned(good, [ec], `sha256:${'b'.repeat(64)}`),
    'another key': isSigned(bundleOf(other.privateKey)),
    'a statement that was changed afterwards': isSigned(
      bundleOf(ec.privateKey, { signed: { ...STATEMENT, subject: [{ digest: { sha256: 'c'.repeat(64) } }] } }),
    ),
    'how it was built': isSigned(
      bundleOf(ec.privateKey, { statement: { ...STATEMENT, predicateType: 'https://slsa.dev/provenance/v1' } }),
    ),
    'no subject': isSigned(bundleOf(ec.privateKey, { statement: { ...STATEMENT, subject: [] } })),
    'a subject that is none': isSigned(bundleOf(ec.privateKey, { statement: { ...STATEMENT, subject: [null, {}] } })),
    'another type of payload': isSigned(bundleOf(ec.privateKey, { type: 'application/json' })),
    'no signature': isSigned({ ...good, dsseEnvelope: { ...envelope, signatures: [] } }),
    'a signature that is none': isSigned({
      ...good,
      dsseEnvelope: { ...envelope, signatures: [null, {}, { sig: 7 }] },
    }),
    'many signatures': isSigned({
      ...good,
      dsseEnvelope: { ...envelope, signatures: Array.from({ length: 9 }, () => ({ sig: 'AA==' })) },
    }),
    'a signature of a blob': isSigned({ ...good, dsseEnvelope: undefined, messageSignature: { signature: 'AA==' } }),
    'an envelope that is none': isSigned({ ...good, dsseEnvelope: null }),
    'no keys of this kind': isSigned(good, [ed]),
  };
  for (const [name, said] of Object.entries(cases)) assert.equal(said, false, name);
  const signers = parseCosign({ keys: [pem(ec)] });
  for (const text of ['', '{', '[]', 'null', '\ud800', `${JSON.stringify(good)}x`]) {
    assert.equal(isImageSigned(text, DIGEST, signers), false, text);
  }
});

test('keys are public keys in PEM', () => {
  for (const bad of ['x', pem(ec).replace('PUBLIC', 'PRIVATE'), pem(ec).slice(0, 60)]) {
    assert.throws(
      () => parseCosign({ keys: [pem(ec), bad] }),
      (error) => isWritError(error, 'bad_request') && error.field === '/settings/parameters/keys/1',
    );
  }
});
