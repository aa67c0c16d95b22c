/** The rules of SPIFFE Trust Domain and Bundle for what Writ publishes, and for maps of bundles, each with its clause. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { isWritError } from '../../src/base/error.ts';
import { keepSvidKeys, rotateSvidKey } from '../../src/ca/bundle/svid-keys.ts';
import { parseBundleMap, parseSpiffeBundle } from '../../src/jwt/spiffe-bundle.ts';
import { type Door, openDoor } from '../../src/rest/testdata/door.ts';
import { parseTrustDomain } from '../../src/spiffe-id/trust-domain.ts';
import { ADA } from '../installation.ts';
import { foreign, jwtKey, x509Key } from './endpoint.ts';

interface Bundle {
  readonly spiffe_sequence: number;
  readonly spiffe_refresh_hint: number;
  readonly keys: readonly Readonly<Record<string, string | readonly string[]>>[];
}

describe('what Writ publishes', () => {
  let door: Door;
  before(async () => {
    door = await openDoor();
    await keepSvidKeys(parts());
  });
  after(() => door[Symbol.asyncDispose]());

  const parts = () => {
    const { database, commit, keyring, random, clock } = door.installation;
    return { reader: database, commit, keyring, random, clock };
  };
  const published = async (): Promise<Bundle> =>
    JSON.parse((await door.ask('/v1/trust/bundle.json', { open: true })).text) as Bundle;

  test('bundle §4.1.1: the sequence is a whole number, grows with each change, and with nothing else', async () => {
    const seen = [await published()];
    assert.deepEqual(await published(), seen[0]);
    for (let n = 0; n < 3; n++) {
      // Also where no time goes by between two changes.
      const authorize = () => ({ allowed: true, rules: [], policyVersion: 1 }) as const;
      await rotateSvidKey(ADA, { atOnce: true }, { ...parts(), authorize });
      const next = await published();
      assert.ok(Number.isSafeInteger(next.spiffe_sequence));
      assert.ok(next.spiffe_sequence > seen.at(-1)!.spiffe_sequence);
      assert.notDeepEqual(next.keys, seen.at(-1)!.keys);
      seen.push(next);
    }
    assert.equal(await keepSvidKeys(parts()), undefined);
    assert.deepEqual(await published(), seen.at(-1));
  });

  test('bundle §4.1.2: the refresh hint is a whole number of seconds', async () => {
    const { spiffe_refresh_hint: hint } = await published();
    assert.ok(Number.isSafeInteger(hint) && hint > 0);
  });

  test('bundle §4.1, §4.2: nothing is in it that neither this document nor those of SVIDs define', async () => {
    const bundle = await published();
    assert.deepEqual(Object.keys(bundle).sort(), ['keys', 'spiffe_refresh_hint', 'spiffe_sequence']);
    // RFC 7517 and RFC 7518 §6; the private halves of keys have other members.
    const known = new Set(['kty', 'use', 'kid', 'alg', 'x5c', 'crv', 'x', 'y', 'n', 'e']);
    for (const key of bundle.keys)
      assert.deepEqual(
        Object.keys(key).filter((name) => !known.has(name)),
        [],
      );
  });

  test('bundle §4.2.1, §4.2.2: every key says its kind, and the one SVID that it is for', async () => {
    const { keys } = await published();
    assert.deepEqual(keys.map(({ use }) => use).sort(), ['jwt-svid', 'x509-svid']);
    for (const { kty } of keys) assert.equal(typeof kty, 'string');
  });

  test('bundle §6.2: no key is for both, nor for tokens and anything else', async () => {
    const { keys } = await published();
    const points = keys.map(({ kty, crv, x, y, n }) => JSON.stringify([kty, crv, x, y, n]));
    assert.equal(new Set(points).size, keys.length);
  });

  test('X.509-SVID §6.1: the one certificate of an authority is that of the key, and self-signed', async () => {
    const authorities = (await published()).keys.filter(({ use }) => use === 'x509-svid');
    assert.ok(authorities.length > 0);
    for (const { use: _, x5c, ...jwk } of authorities) {
      const [only, ...more] = x5c as readonly string[];
      assert.deepEqual(more, []);
      const der = Buffer.from(only!, 'base64');
      assert.equal(der.toString('base64'), only, 'plain base64 (RFC 7517 §4.7)');
      const { publicKey, ...certificate } = new X509Certificate(der);
      const { kty, crv, x, y } = publicKey.export({ format: 'jwk' });
      assert.deepEqual(jwk, { kty, crv, x, y });
      assert.ok(new X509Certificate(der).verify(publicKey), JSON.stringify(certificate));
    }
  });
});

describe('maps of bundles', () => {
  const [one, two] = [foreign('One'), foreign('Two')];
  const map = (text: string) => parseBundleMap(Buffer.from(text), 'map');
  const bundleOf = (authority: typeof one): object => ({ spiffe_sequence: 7, keys: [x509Key(authority)] });

  test('bundle §5.1.1: each bundle is that of the trust domain in whose name it stands', () => {
    const text = JSON.stringify({ trust_domains: { 'one.example': bundleOf(one), 'two.example': bundleOf(two) } });
    const parsed = map(text);
    assert.deepEqual([...parsed.keys()], ['one.example', 'two.example']);
    assert.deepEqual(parsed.get(parseTrustDomain('one.example'))?.authorities, [one.der]);
    assert.deepEqual(parsed.get(parseTrustDomain('two.example'))?.authorities, [two.der]);
    assert.equal(parsed.get(parseTrustDomain('three.example')), undefined);
  });

  test('bundle §5.1.1: "trust_domains" is there, and may be empty', () => {
    assert.equal(map('{"trust_domains":{}}').size, 0);
    for (const bad of ['{}', '{"trust_domains":null}', '{"trust_domains":[]}', '{"trust_domains":"x"}', '[]', '']) {
      assert.throws(
        () => map(bad),
        (error) => isWritError(error, 'bad_config'),
        bad,
      );
    }
  });

  test('bundle §5.1.1, §6.3: a map that names a trust domain twice is refused', () => {
    const [first, second] = [bundleOf(one), bundleOf(two)].map((bundle) => JSON.stringify(bundle));
    assert.throws(
      () => map(`{"trust_domains":{"one.example":${first},"one.example":${second}}}`),
      (error) => isWritError(error, 'bad_config'),
    );
  });

  test('bundle §5.1.1: names are those of trust domains, whole and in small letters', () => {
    for (const name of ['One.example', 'spiffe://one.example', 'one.example/', '', 'one.example:443']) {
      const text = JSON.stringify({ trust_domains: { [name]: bundleOf(one) } });
      assert.throws(
        () => map(text),
        (error) => isWritError(error, 'bad_spiffe_id'),
        name,
      );
    }
  });

  test('bundle §5.1: what is no bundle makes a map no map', () => {
    for (const bad of [null, [], 'x', {}, { keys: [{ ...jwtKey('a').jwk, d: 'AA' }] }]) {
      const text = JSON.stringify({ trust_domains: { 'one.example': bundleOf(one), 'two.example': bad } });
      assert.throws(
        () => map(text),
        (error) => isWritError(error, 'bad_config'),
        JSON.stringify(bad),
      );
    }
    assert.doesNotThrow(() => parseSpiffeBundle(Buffer.from(JSON.stringify(bundleOf(one))), 'bundle'));
  });
});
