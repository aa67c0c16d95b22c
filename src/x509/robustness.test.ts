import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import fc from 'fast-check';
import { WritError } from '../base/error.ts';
import { parseCertificate } from './certificate.ts';
import { encodeTbsCertList, parseCrl } from './crl.ts';
import { encodeCsr, parseCsr, verifyCsr } from './csr.ts';
import { AGENT_CONTEXT, encodeAgentContext } from './extensions/agent-context.ts';
import { CRL_NUMBER, encodeCrlNumber } from './extensions/crl-number.ts';
import { decodeAll } from './lint/decoded.ts';
import { assembleSigned } from './signed.ts';
import { leafFields, NOW, signFields, testChain } from './testdata/authority.ts';
import { testKey } from './testdata/keys.ts';

/** Parses as far as anything in this folder does: to the key and into every extension. */
const PARSERS: Readonly<Record<string, (der: Uint8Array) => unknown>> = {
  certificate: (der) => decodeAll(parseCertificate(der)),
  request: (der) => verifyCsr(parseCsr(der)),
  list: parseCrl,
};

const SAMPLES: { kind: string; name: string; der: Uint8Array }[] = [];

before(async () => {
  for (const algorithm of ['ecdsa-p256-sha256', 'ml-dsa-44'] as const) {
    const key = testKey(algorithm);
    const { issuing } = testChain(algorithm);
    const fields = leafFields(key, issuing);
    const context = encodeAgentContext({ workflow: 'w', task: 't', scopes: ['s'], grantDigest: new Uint8Array(32) });
    const extensions = [...fields.extensions, { oid: AGENT_CONTEXT, critical: false, value: context }];
    const leaf = signFields({ ...fields, extensions }, key);
    const tbs = encodeTbsCertList({
      algorithm,
      issuer: issuing.subject.raw,
      thisUpdate: NOW,
      nextUpdate: NOW + 1000,
      revoked: [{ serial: leaf.serial, revokedAt: NOW, reason: 'superseded' }],
      extensions: [{ oid: CRL_NUMBER, critical: false, value: encodeCrlNumber(1) }],
    });
    SAMPLES.push(
      { kind: 'certificate', name: `authority of ${algorithm}`, der: issuing.raw },
      { kind: 'certificate', name: `leaf of ${algorithm}`, der: leaf.raw },
      {
        kind: 'request',
        name: `request of ${algorithm}`,
        der: await encodeCsr({ spki: key.spki, algorithm, extensions, sign: async (message) => key.sign(message) }),
      },
      { kind: 'list', name: `list of ${algorithm}`, der: assembleSigned(tbs, algorithm, key.sign(tbs)) },
    );
  }
});

/** Runs a parser; whatever it throws must be a `WritError` that says where, or which limit. */
function attempt(kind: string, der: Uint8Array): boolean {
  try {
    PARSERS[kind]!(der);
    return true;
  } catch (error) {
    assert.ok(error instanceof WritError, `${error}`);
    assert.ok(error.code === 'too_large' || error.field !== undefined, error.message);
    return false;
  }
}

/** All places of small samples; of large ones, whose bulk is key and signature, the beginning and a spread. */
function places(length: number): number[] {
  return Array.from({ length }, (_, place) => place).filter((place) => place < 400 || place % 37 === 0);
}

test('each sample is taken as it is', () => {
  for (const { kind, name, der } of SAMPLES) assert.ok(attempt(kind, der), name);
});

test('cut off at any place, or with a byte more, none is taken', () => {
  for (const { kind, name, der } of SAMPLES) {
    for (const place of places(der.length)) assert.ok(!attempt(kind, der.subarray(0, place)), `${name} to ${place}`);
    for (const byte of [0, 1, 0x30, 0xff])
      assert.ok(!attempt(kind, Uint8Array.of(...der, byte)), `${name} and ${byte}`);
  }
});

test('with any one byte changed, none does more than fail', () => {
  for (const { kind, der } of SAMPLES) {
    const changed = Uint8Array.from(der);
    for (const place of places(der.length)) {
      const was = changed[place]!;
      for (const now of [was ^ 1, was ^ 0x80, 0, 0xff, was + 1]) {
        changed[place] = now;
        attempt(kind, changed);
      }
      changed[place] = was;
    }
  }
});

test('a request with any one bit of what is signed changed proves nothing', () => {
  for (const { kind, name, der } of SAMPLES) {
    if (kind !== 'request') continue;
    const { info } = parseCsr(der);
    const start = info.byteOffset - der.byteOffset;
    const changed = Uint8Array.from(der);
    for (const place of places(info.length)) {
      changed[start + place]! ^= 1 << (place % 8);
      assert.ok(!attempt('request', changed), `${name}, byte ${place}`);
      changed[start + place]! ^= 1 << (place % 8);
    }
  }
});

test('with a piece of one put into another, none does more than fail', () => {
  const sample = fc.nat(1e6).map((n) => SAMPLES[n % SAMPLES.length]!);
  const place = fc.double({ min: 0, max: 1, noNaN: true });
  fc.assert(
    fc.property(sample, sample, place, place, place, fc.nat(40), (a, b, at, from, cut, length) => {
      const start = Math.floor(at * a.der.length);
      const piece = b.der.subarray(Math.floor(from * b.der.length)).subarray(0, length);
      const rest = a.der.subarray(start + Math.floor(cut * 40));
      attempt(a.kind, Uint8Array.from([...a.der.subarray(0, start), ...piece, ...rest]));
    }),
    { numRuns: 2000 },
  );
});

test('arbitrary bytes do no more than fail', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (der) => {
      for (const kind of Object.keys(PARSERS)) attempt(kind, der);
    }),
    { numRuns: 1000 },
  );
});
