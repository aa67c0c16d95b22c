import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { test } from 'node:test';
import { isWritError } from '../base/error.ts';
import { boolean, encode, integer, octetString, oid, sequence } from '../der/writer.ts';
import { OCSP_NONCE } from './extensions/ocsp-nonce.ts';
import { encodeCertId, isIssuedBy, issuerHashes } from './ocsp-cert-id.ts';
import { encodeOcspRequest, MAX_OCSP_CERTIFICATES, parseOcspRequest } from './ocsp-request.ts';
import {
  assembleOcspResponse,
  encodeOcspFault,
  encodeResponseData,
  type OcspFault,
  type OcspStatus,
  ocspResponseTemplate,
  parseOcspResponse,
} from './ocsp-response.ts';
import { issue, NOW } from './path/testdata/issue.ts';
import { parsePublicKey } from './public-key.ts';

const issuer = issue('Issuing', { ca: true });
const leaf = issue('', { issuer });
const other = issue('', { issuer });
const id = (algorithm: 'sha1' | 'sha256' = 'sha1') => encodeCertId(leaf.certificate, issuer.certificate, algorithm);

const refused = (act: () => unknown, code: string, part: RegExp) =>
  assert.throws(act, (error) => isWritError(error) && error.code === code && part.test(error.message));

for (const algorithm of ['sha1', 'sha256'] as const) {
  test(`a question by ${algorithm} names its certificate and the issuer's name and key`, () => {
    const { certificates, nonce } = parseOcspRequest(encodeOcspRequest([id(algorithm)]));
    const [asked] = certificates;
    assert.equal(nonce, undefined);
    assert.equal(asked!.hash, algorithm);
    assert.deepEqual(asked!.raw, id(algorithm));
    assert.deepEqual(asked!.serial, leaf.certificate.serial);
    const digest = (data: Uint8Array) => new Uint8Array(createHash(algorithm).update(data).digest());
    assert.deepEqual(asked!.nameHash, digest(issuer.certificate.subject.raw));
    assert.deepEqual(asked!.keyHash, digest(parsePublicKey(issuer.certificate.spki).bits));
    assert.ok(isIssuedBy(asked!, issuerHashes(issuer.certificate.subject.raw, issuer.certificate.spki)));
    assert.ok(!isIssuedBy(asked!, issuerHashes(leaf.certificate.subject.raw, issuer.certificate.spki)));
    assert.ok(!isIssuedBy(asked!, issuerHashes(issuer.certificate.subject.raw, leaf.certificate.spki)));
  });
}

test('several serials and a nonce come through in order', () => {
  const nonce = new Uint8Array(randomBytes(32));
  const second = encodeCertId(other.certificate, issuer.certificate, 'sha256');
  const parsed = parseOcspRequest(encodeOcspRequest([id(), second], nonce));
  assert.deepEqual(
    parsed.certificates.map(({ serial }) => serial),
    [leaf.certificate.serial, other.certificate.serial],
  );
  assert.deepEqual(parsed.nonce, nonce);
});

test('a hash that nobody knows authorities by is read, and is nobody’s', () => {
  const sha512 = sequence(oid('2.16.840.1.101.3.4.2.3'));
  const hash = octetString(new Uint8Array(64));
  const asked = parseOcspRequest(encodeOcspRequest([sequence(sha512, hash, hash, integer(1))])).certificates[0]!;
  assert.equal(asked.hash, undefined);
  assert.ok(!isIssuedBy(asked, issuerHashes(issuer.certificate.subject.raw, issuer.certificate.spki)));
});

test('a signed question with a requestor is read for its form', () => {
  const list = sequence(sequence(id()));
  const tbs = sequence(encode(0xa1, encode(0x86, Buffer.from('http://a.test'))), list);
  const signature = encode(0xa0, sequence(sequence(oid('1.3.101.112')), encode(0x03, Buffer.of(0, 1))));
  assert.equal(parseOcspRequest(sequence(tbs, signature)).certificates.length, 1);
});

test('what is no question is refused', () => {
  const whole = encodeOcspRequest([id()], randomBytes(16));
  for (let length = 0; length < whole.length; length++) {
    assert.throws(() => parseOcspRequest(whole.subarray(0, length)), isWritError);
  }
  const list = sequence(sequence(id()));
  const extended = (...extensions: Uint8Array[]) => sequence(sequence(list, encode(0xa2, sequence(...extensions))));
  const nonceOf = (length: number) => sequence(oid(OCSP_NONCE), octetString(octetString(new Uint8Array(length))));
  refused(() => parseOcspRequest(Buffer.concat([whole, Buffer.of(0)])), 'bad_der', /after the last field/);
  refused(() => parseOcspRequest(sequence(sequence(sequence()))), 'bad_der', /empty/);
  refused(() => parseOcspRequest(sequence(sequence(encode(0xa0, integer(0)), list))), 'bad_der', /version/);
  refused(() => parseOcspRequest(extended(nonceOf(0))), 'bad_der', /1 … 128/);
  refused(() => parseOcspRequest(extended(nonceOf(129))), 'bad_der', /1 … 128/);
  assert.equal(parseOcspRequest(extended(nonceOf(128))).nonce?.length, 128);
  const unknown = sequence(oid('1.2.3.4'), boolean(true), octetString(new Uint8Array(1)));
  refused(() => parseOcspRequest(extended(unknown)), 'bad_request', /critical/);
  const many = (count: number) => encodeOcspRequest(Array.from({ length: count }, () => id()));
  assert.equal(parseOcspRequest(many(MAX_OCSP_CERTIFICATES)).certificates.length, MAX_OCSP_CERTIFICATES);
  refused(() => parseOcspRequest(many(MAX_OCSP_CERTIFICATES + 1)), 'too_large', /too many/);
  refused(() => parseOcspRequest(new Uint8Array(8193)), 'too_large', /octets/);
});

test('an answer says what was put in, whatever it says', () => {
  const { privateKey } = generateKeyPairSync('ed25519');
  const keyHash = new Uint8Array(20).fill(7);
  const template = ocspResponseTemplate('ed25519', keyHash, other.certificate.raw);
  const statuses: OcspStatus[] = [
    { kind: 'good' },
    { kind: 'unknown' },
    { kind: 'revoked', at: NOW - 5000, reason: 'keyCompromise' },
    { kind: 'revoked', at: NOW - 5000, reason: 'certificateHold' },
    { kind: 'revoked', at: NOW - 5000 },
  ];
  const nonce = new Uint8Array(32).fill(9);
  const fields = { producedAt: NOW + 1000, thisUpdate: NOW, nextUpdate: NOW + 60_000, nonce };
  const data = encodeResponseData(template, { ...fields, answers: statuses.map((status) => ({ id: id(), status })) });
  const signature = sign(null, data, privateKey);
  const parsed = parseOcspResponse(assembleOcspResponse(template, data, signature));
  assert.ok(parsed.kind === 'basic');
  const { basic } = parsed;
  assert.deepEqual(basic.tbs, new Uint8Array(data));
  assert.deepEqual(basic.signature, new Uint8Array(signature));
  assert.equal(basic.producedAt, NOW + 1000);
  assert.deepEqual(basic.responder, { by: 'key', keyHash });
  assert.deepEqual(basic.nonce, nonce);
  assert.deepEqual(basic.certificates, [other.certificate.raw]);
  assert.deepEqual(
    basic.responses.map(({ status }) => status),
    statuses,
  );
  for (const { thisUpdate, nextUpdate, certificate } of basic.responses) {
    assert.deepEqual([thisUpdate, nextUpdate], [NOW, NOW + 60_000]);
    assert.deepEqual(certificate.raw, id());
  }
});

test('an answer that there is none is read back', () => {
  const faults: OcspFault[] = ['malformedRequest', 'internalError', 'tryLater', 'sigRequired', 'unauthorized'];
  for (const fault of faults) assert.deepEqual(parseOcspResponse(encodeOcspFault(fault)), { kind: 'fault', fault });
  assert.deepEqual(encodeOcspFault('unauthorized'), Uint8Array.of(0x30, 3, 0x0a, 1, 6));
  refused(() => parseOcspResponse(Uint8Array.of(0x30, 3, 0x0a, 1, 4)), 'bad_der', /no meaning/);
});

test('a truncated answer is refused, and one with more behind it', () => {
  const template = ocspResponseTemplate('ed25519', new Uint8Array(20), other.certificate.raw);
  const fields = { producedAt: NOW, thisUpdate: NOW, nextUpdate: NOW + 1000 };
  const data = encodeResponseData(template, { ...fields, answers: [{ id: id(), status: { kind: 'good' } }] });
  const whole = assembleOcspResponse(template, data, new Uint8Array(64));
  for (let length = 0; length < whole.length; length++) {
    assert.throws(() => parseOcspResponse(whole.subarray(0, length)), isWritError);
  }
  assert.throws(() => parseOcspResponse(Buffer.concat([whole, Buffer.of(0)])), isWritError);
});
