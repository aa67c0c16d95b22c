import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { isWritError } from '../../base/error.ts';
import { sha256 } from '../../base/sha256.ts';
import { encodePem } from '../../der/pem.ts';
import type { TpmEvidence } from '../../wire/attestation.ts';
import type { TpmParameters } from '../../wire/attestor.ts';
import { boundOctets } from '../../wire/bound-octets.ts';
import { EXTENDED_KEY_USAGE, encodeExtendedKeyUsage } from '../../x509/extensions/extended-key-usage.ts';
import { DAY, type Entity, extension, issue, type Wish } from '../../x509/path/testdata/issue.ts';
import type { EvidenceFault, Verified } from '../evidence.ts';
import {
  ATTESTATION,
  attestation,
  ENDORSEMENT,
  publicArea,
  SIGNING,
  type SoftKey,
  softKey,
  softSignature,
} from './testdata/tpm-objects.ts';
import { CHALLENGE, NOW, verifierParts } from './testdata/verifier-parts.ts';
import { tpmVerifier } from './tpm.ts';
import { kdfa } from './tpm-credential.ts';
import { ATTRIBUTE, readTpmCertified, readTpmPublic, readTpmSignature } from './tpm-structures.ts';

/* What `tpm-swtpm.test.ts` shows with a real module is here told by liars: every key is the liar's own. */

const parts = verifierParts();
const bound = boundOctets(CHALLENGE, parts.spki);
const root = issue('Manufacturer', { ca: true });
const EK = { [EXTENDED_KEY_USAGE]: extension(EXTENDED_KEY_USAGE, encodeExtendedKeyUsage(['2.23.133.8.1'])) };
const certify = (key: SoftKey, wish: Wish = {}): Entity =>
  issue('module', { issuer: root, key, keyUsage: ['keyEncipherment'], extensions: EK, ...wish });
const pem = ({ certificate }: Entity): string => encodePem('CERTIFICATE', certificate.raw);
const octetsOf = (base64: string): Buffer => Buffer.from(base64, 'base64');

const keys = { ek: softKey('rsa'), ak: softKey('P-256'), key: softKey('P-256'), other: softKey('P-256') };
const EK_PUBLIC = publicArea(keys.ek, { attributes: ENDORSEMENT });
const AK_PUBLIC = publicArea(keys.ak, { attributes: ATTESTATION });
const KEY_PUBLIC = publicArea(keys.key);
const certificate = certify(keys.ek);

/** What the module with the endorsement key would give out: the test knows what the server derives. */
function secretFor(ek: string, ak: string, challenge = CHALLENGE): string {
  const [endorsement, attesting] = [readTpmPublic(octetsOf(ek)), readTpmPublic(octetsOf(ak))];
  const of = [Buffer.from('tpm secret'), Buffer.from(challenge), endorsement.name, endorsement.spki, attesting.name];
  return Buffer.from(parts.derive(...of)).toString('base64');
}

const attested = attestation(readTpmPublic(octetsOf(KEY_PUBLIC)).name, sha256(bound));

const GOOD: TpmEvidence = {
  kind: 'tpm',
  attestor: 'test',
  challenge: CHALLENGE,
  secret: secretFor(EK_PUBLIC, AK_PUBLIC),
  endorsement_key: EK_PUBLIC,
  attestation_key: AK_PUBLIC,
  chain: [pem(certificate)],
  key: KEY_PUBLIC,
  attested: attested.toString('base64'),
  signature: softSignature(keys.ak, attested),
  proof: softSignature(keys.key, bound),
};

function present(
  change: Partial<TpmEvidence> = {},
  parameters: TpmParameters = { roots: [pem(root)] },
): Promise<Verified> {
  return tpmVerifier.verify({ ...GOOD, ...change }, tpmVerifier.parse(parameters as never), parts);
}

/** Evidence with another attestation key, of which everything else follows. */
function attestedBy(ak: string, by: SoftKey): Partial<TpmEvidence> {
  return { attestation_key: ak, secret: secretFor(EK_PUBLIC, ak), signature: softSignature(by, attested) };
}

/** Evidence about another key. */
function about(key: string, by: SoftKey, statement?: Buffer): Partial<TpmEvidence> {
  const says = statement ?? attestation(readTpmPublic(octetsOf(key)).name, sha256(bound));
  return {
    key,
    attested: says.toString('base64'),
    signature: softSignature(keys.ak, says),
    proof: softSignature(by, bound),
  };
}

const faultOf = (verified: Verified): EvidenceFault | 'none' => (verified.accepted ? 'none' : verified.fault);

test('evidence in which everything fits is believed, and names the key that signs from now on', async () => {
  const verified = await present();
  assert.ok(verified.accepted);
  assert.deepEqual(verified.facts['tpm:key'], [octetsOf(KEY_PUBLIC).toString('base64url')]);
  assert.equal(verified.once!.until, NOW + 60_000);
});

describe('a liar is refused', () => {
  const fixed = ATTRIBUTE.fixedTpm;
  const cases: readonly {
    name: string;
    change: () => Partial<TpmEvidence>;
    fault: EvidenceFault;
    parameters?: TpmParameters;
  }[] = [
    { name: 'a challenge of somebody else', change: () => ({ challenge: 'AAAA' }), fault: 'bad-challenge' },
    { name: 'an old challenge', change: () => ({ challenge: 'OLD' }), fault: 'challenge-expired' },
    { name: 'no certificate', change: () => ({ chain: [] }), fault: 'untrusted-chain' },
    {
      name: 'a certificate of another manufacturer',
      change: () => ({ chain: [pem(certify(keys.ek, { issuer: issue('Manufacturer', { ca: true }) }))] }),
      fault: 'untrusted-chain',
    },
    {
      name: 'a certificate of a module, and the endorsement key of another',
      change: () => ({ chain: [pem(certify(softKey('rsa')))] }),
      fault: 'wrong-key',
    },
    {
      name: 'a certificate of the manufacturer that is not for an endorsement key',
      change: () => ({ chain: [pem(certify(keys.ek, { extensions: {} }))] }),
      fault: 'untrusted-chain',
    },
    {
      name: 'an expired certificate',
      change: () => ({ chain: [pem(certify(keys.ek, { notBefore: NOW - 2 * DAY, notAfter: NOW - DAY }))] }),
      fault: 'expired',
    },
    {
      name: 'an endorsement key that is not on the list',
      change: () => ({}),
      parameters: { keys: ['00'.repeat(32)] },
      fault: 'not-admitted',
    },
    {
      name: 'an endorsement key that signs',
      change: () => ({ endorsement_key: publicArea(keys.ek, { attributes: SIGNING }) }),
      fault: 'wrong-key',
    },
    { name: 'no secret', change: () => ({ secret: Buffer.alloc(32).toString('base64') }), fault: 'wrong-key' },
    { name: 'a shorter secret', change: () => ({ secret: 'AA==' }), fault: 'wrong-key' },
    {
      name: 'the secret of another challenge',
      change: () => ({ secret: secretFor(EK_PUBLIC, AK_PUBLIC, 'another') }),
      fault: 'wrong-key',
    },
    {
      name: 'the secret for another attestation key',
      change: () => ({
        ...attestedBy(publicArea(keys.other, { attributes: ATTESTATION }), keys.other),
        secret: GOOD.secret,
      }),
      fault: 'wrong-key',
    },
    {
      name: 'an attestation key that signs what anybody wants',
      change: () => attestedBy(publicArea(keys.ak, { attributes: ATTESTATION & ~ATTRIBUTE.restricted }), keys.ak),
      fault: 'wrong-key',
    },
    {
      name: 'an attestation key that can leave the module',
      change: () => attestedBy(publicArea(keys.ak, { attributes: ATTESTATION & ~fixed }), keys.ak),
      fault: 'wrong-key',
    },
    {
      name: 'an attestation key that came from outside',
      change: () =>
        attestedBy(publicArea(keys.ak, { attributes: ATTESTATION & ~ATTRIBUTE.sensitiveDataOrigin }), keys.ak),
      fault: 'wrong-key',
    },
    {
      name: 'an attestation key that decrypts, too',
      change: () => attestedBy(publicArea(keys.ak, { attributes: ATTESTATION | ATTRIBUTE.decrypt }), keys.ak),
      fault: 'wrong-key',
    },
    {
      name: 'a statement signed by another key',
      change: () => ({ signature: softSignature(keys.other, attested) }),
      fault: 'bad-signature',
    },
    {
      name: 'a statement signed with another hash than the key is for',
      change: () => ({ signature: softSignature(keys.ak, attested, { hash: 'sha384' }) }),
      fault: 'bad-signature',
    },
    {
      name: 'a statement signed with SHA-1',
      change: () => ({ signature: softSignature(keys.ak, attested, { hash: 'sha1' }) }),
      fault: 'malformed',
    },
    {
      name: 'a statement that no module made',
      change: () =>
        about(
          KEY_PUBLIC,
          keys.key,
          attestation(readTpmPublic(octetsOf(KEY_PUBLIC)).name, sha256(bound), { magic: 'ff544346' }),
        ),
      fault: 'malformed',
    },
    {
      name: 'a statement of another kind',
      change: () =>
        about(
          KEY_PUBLIC,
          keys.key,
          attestation(readTpmPublic(octetsOf(KEY_PUBLIC)).name, sha256(bound), { type: 0x8018 }),
        ),
      fault: 'malformed',
    },
    {
      name: 'a statement about another key',
      change: () => ({
        ...about(publicArea(keys.other), keys.other),
        attested: GOOD.attested,
        signature: GOOD.signature,
      }),
      fault: 'wrong-key',
    },
    {
      name: 'a statement for another challenge',
      change: () =>
        about(
          KEY_PUBLIC,
          keys.key,
          attestation(readTpmPublic(octetsOf(KEY_PUBLIC)).name, sha256(boundOctets('another', parts.spki))),
        ),
      fault: 'bad-challenge',
    },
    {
      name: 'a key that can leave the module',
      change: () => about(publicArea(keys.key, { attributes: SIGNING & ~fixed }), keys.key),
      fault: 'wrong-key',
    },
    {
      name: 'a key that came from outside',
      change: () => about(publicArea(keys.key, { attributes: SIGNING & ~ATTRIBUTE.sensitiveDataOrigin }), keys.key),
      fault: 'wrong-key',
    },
    {
      name: 'a proof by another key',
      change: () => ({ proof: softSignature(keys.other, bound) }),
      fault: 'bad-signature',
    },
    {
      name: 'a proof of another kind of key',
      change: () => ({ proof: softSignature(softKey('rsa'), bound) }),
      fault: 'malformed',
    },
    {
      name: 'a proof for another CSR',
      change: () => ({ proof: softSignature(keys.key, boundOctets(CHALLENGE, Buffer.from('x'))) }),
      fault: 'bad-signature',
    },
    {
      name: 'a name by SHA-1',
      change: () => ({ key: publicArea(keys.key, { nameAlgorithm: 'sha1' }) }),
      fault: 'malformed',
    },
    {
      name: 'a key that signs with SHA-1',
      change: () => ({ key: publicArea(keys.key, { scheme: 'sha1' }) }),
      fault: 'malformed',
    },
    {
      name: 'a structure that is cut off',
      change: () => ({ key: octetsOf(KEY_PUBLIC).subarray(0, -1).toString('base64') }),
      fault: 'malformed',
    },
    {
      name: 'one that goes on',
      change: () => ({
        attested: Buffer.concat([attested, Buffer.of(0)]).toString('base64'),
        signature: softSignature(keys.ak, Buffer.concat([attested, Buffer.of(0)])),
      }),
      fault: 'malformed',
    },
    { name: 'no structure', change: () => ({ attestation_key: 'AAAA' }), fault: 'malformed' },
  ];
  for (const { name, change, fault, parameters } of cases) {
    test(name, async () => assert.equal(faultOf(await present(change(), parameters)), fault));
  }
});

test('a key that is for no one way of signing signs in any that is accepted', async () => {
  const rsa = softKey('rsa');
  const area = publicArea(rsa, { scheme: 'none' });
  for (const pss of [false, true]) {
    const proof = softSignature(rsa, bound, { pss, hash: 'sha384' });
    assert.equal(faultOf(await present({ ...about(area, rsa), proof })), 'none');
  }
  const fixed = publicArea(rsa);
  assert.equal(
    faultOf(await present({ ...about(fixed, rsa), proof: softSignature(rsa, bound, { pss: true }) })),
    'bad-signature',
  );
});

test('nothing is made out to keys that are none', () => {
  const ask = (endorsement_key?: string, attestation_key?: string): unknown =>
    tpmVerifier.challenge!(
      { attestor: 'test', ...(endorsement_key && { endorsement_key }), ...(attestation_key && { attestation_key }) },
      {},
      { challenge: CHALLENGE, derive: parts.derive },
    );
  assert.ok(ask(EK_PUBLIC, AK_PUBLIC));
  // For a renewal there is a key already.
  assert.deepEqual(ask(), {});
  for (const [ek, ak] of [
    [undefined, AK_PUBLIC],
    [EK_PUBLIC],
    ['AAAA', AK_PUBLIC],
    [AK_PUBLIC, AK_PUBLIC],
    [EK_PUBLIC, 'AAAA'],
  ]) {
    assert.equal(ask(ek, ak), undefined);
  }
});

test('an RSA key that is none is refused with a type, whoever sends it', async () => {
  const of = (modulus: Uint8Array): SoftKey => ({
    ...keys.ek,
    jwk: { kty: 'RSA', n: Buffer.from(modulus).toString('base64url'), e: 'AQAB' },
  });
  const modulus = Buffer.from(keys.ek.jwk['n']!, 'base64url');
  const changed = (change: (octets: Buffer) => void): Buffer => {
    const octets = Buffer.from(modulus);
    change(octets);
    return octets;
  };
  const derive = parts.derive;
  for (const [name, octets] of [
    ['zero', Buffer.alloc(256)],
    ['one', changed((all) => all.fill(0, 0, 255))],
    ['even', changed((all) => all.writeUInt8(all[255]! & 0xfe, 255))],
    ['short', changed((all) => all.fill(0, 0, 200))],
  ] as const) {
    const endorsement_key = publicArea(of(octets), { attributes: ENDORSEMENT });
    const request = { attestor: 'test', endorsement_key, attestation_key: AK_PUBLIC };
    assert.equal(tpmVerifier.challenge!(request, {}, { challenge: CHALLENGE, derive }), undefined, name);
    assert.deepEqual(await present({ endorsement_key }), { accepted: false, fault: 'malformed' }, name);
  }
  // Right in form, and the product of nothing: nothing is signed with it.
  const odd = of(changed((all) => all.fill(0xff, 0, 128)));
  const key = publicArea(odd);
  const by = {
    key,
    proof: softSignature(keys.ek, bound),
    attested: attestation(readTpmPublic(octetsOf(key)).name, sha256(bound)),
  };
  const refused = await present({
    ...by,
    attested: by.attested.toString('base64'),
    signature: softSignature(keys.ak, by.attested),
  });
  assert.deepEqual(refused, { accepted: false, fault: 'bad-signature' });
});

test('an attestor that admits nobody, or has a root that is none, is refused', () => {
  for (const [parameters, field] of [
    [{}, ''],
    [{ roots: ['x'] }, '/roots/0'],
  ] as const) {
    assert.throws(
      () => tpmVerifier.parse(parameters as never),
      (error) => isWritError(error) && error.field === field,
    );
  }
});

test('KDFa is the counter mode of SP 800-108, with the label’s zero octet and the number of bits', () => {
  const [context, key] = [Buffer.from('context'), Buffer.alloc(32, 1)];
  const block = (counter: number, bits: number): Buffer => {
    const octets = Buffer.concat([Buffer.alloc(4), Buffer.from('STORAGE\0'), context, Buffer.alloc(4)]);
    octets.writeUInt32BE(counter);
    octets.writeUInt32BE(bits, octets.length - 4);
    return createHmac('sha256', key).update(octets).digest();
  };
  assert.deepEqual(kdfa('sha256', key, 'STORAGE', context, 128), block(1, 128).subarray(0, 16));
  const long = Buffer.concat([block(1, 384), block(2, 384).subarray(0, 16)]);
  assert.deepEqual(Buffer.from(kdfa('sha256', key, 'STORAGE', context, 384)), long);
});

test('whatever comes in, a structure is read or refused with a type', () => {
  const good = readTpmPublic(octetsOf(KEY_PUBLIC));
  const samples = [octetsOf(KEY_PUBLIC), octetsOf(EK_PUBLIC), attested, octetsOf(GOOD.signature)];
  const altered = fc
    .tuple(fc.constantFrom(...samples), fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 4 }), fc.nat(400))
    .map(([sample, changes, length]) => {
      const octets = Uint8Array.from(sample.subarray(0, Math.max(length, 1)));
      for (const [at, value] of changes) octets[at % octets.length] = value;
      return octets;
    });
  fc.assert(
    fc.property(fc.oneof(altered, fc.uint8Array({ maxLength: 200 })), (octets) => {
      for (const read of [readTpmPublic, readTpmCertified, (given: Uint8Array) => readTpmSignature(given, good)]) {
        try {
          read(octets);
        } catch (error) {
          assert.ok(isWritError(error, 'bad_request'), String(error));
        }
      }
    }),
    { numRuns: 500 },
  );
});
