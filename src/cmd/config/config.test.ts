import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWritError } from '../../base/error.ts';
import { jwtIssuerOf } from '../jwt-issuer.ts';
import { parseConfig } from './config.ts';

const LEAST = { trustDomain: 'agents.example.com', anchor: '/var/lib/writ-anchor' };

test('rates are what they are unless told otherwise, each by itself', () => {
  const { rateLimit, writeLimit, nodeLimit } = parseConfig(LEAST);
  assert.deepEqual(rateLimit, { perSecond: 2000, burst: 4000 });
  assert.deepEqual(writeLimit, { perSecond: 20, burst: 200 });
  assert.deepEqual(nodeLimit, { perSecond: 200, burst: 10_000 });
  const changed = parseConfig({ ...LEAST, writeLimit: { burst: 5 } });
  assert.deepEqual(changed.writeLimit, { perSecond: 20, burst: 5 });
  assert.deepEqual([changed.rateLimit, changed.nodeLimit], [rateLimit, nodeLimit]);
  assert.deepEqual(parseConfig({ ...LEAST, nodeLimit: { perSecond: 7 } }).nodeLimit, { perSecond: 7, burst: 10_000 });
});

test('tokens are signed with ES256 unless the configuration says RS256', () => {
  const { signals } = parseConfig({ ...LEAST, signals: {} });
  assert.deepEqual([signals.algorithm, parseConfig(LEAST).signals.algorithm], ['ES256', 'ES256']);
  assert.equal(parseConfig({ ...LEAST, signals: { algorithm: 'RS256' } }).signals.algorithm, 'RS256');
});

test('tokens name the issuer that is configured, else the first name and the port of the public listener', () => {
  for (const jwtIssuer of [
    'https://id.example.com',
    'https://id.example.com:8444',
    'https://id.example.com/writ/prod',
  ]) {
    assert.equal(jwtIssuerOf(parseConfig({ ...LEAST, jwtIssuer }), '0.0.0.0:1'), jwtIssuer);
  }
  assert.equal(
    jwtIssuerOf(parseConfig({ ...LEAST, names: ['writ.example.com'] }), '[::]:444'),
    'https://writ.example.com:444',
  );
  assert.equal(jwtIssuerOf(parseConfig({ ...LEAST, names: ['::1'] }), '[::]:444'), 'https://[::1]:444');
});

test('what has no default and is not there is said to be missing', () => {
  for (const field of ['trustDomain', 'anchor'] as const) {
    assert.throws(
      () => parseConfig({ ...LEAST, [field]: undefined }),
      (error) => isWritError(error, 'bad_config') && error.field === field && /is missing/.test(error.message),
      field,
    );
  }
});

test('what is not known or not in range is refused by its path', () => {
  const bad: readonly [object, string][] = [
    [{ writeLimit: { perSecond: 0 } }, 'writeLimit.perSecond'],
    [{ writeLimit: { burst: 1.5 } }, 'writeLimit.burst'],
    [{ writeLimit: { perMinute: 1 } }, 'writeLimit.perMinute'],
    [{ writeLimit: 20 }, 'writeLimit'],
    [{ rateLimit: { burst: 0 } }, 'rateLimit.burst'],
    [{ nodeLimit: { burst: 0 } }, 'nodeLimit.burst'],
    [{ signals: { algorithm: 'HS256' } }, 'signals.algorithm'],
    [{ signals: { issuer: 'http://writ.example.com' } }, 'signals.issuer'],
    [{ signals: { keys: 2 } }, 'signals.keys'],
    [{ attestation: { allowNetworks: '10.0.0.0/8' } }, 'attestation.allowNetworks'],
    [{ attestation: { networks: [] } }, 'attestation.networks'],
    [{ attestation: { reviewerTokens: { prod: 7 } } }, 'attestation.reviewerTokens.prod'],
    [{ attestation: { reviewerTokens: 'file' } }, 'attestation.reviewerTokens'],
    [{ federation: { caFile: 7 } }, 'federation.caFile'],
    [{ federation: { allow: [] } }, 'federation.allow'],
    [{ jwtIssuer: 'http://id.example.com' }, 'jwtIssuer'],
    [{ jwtIssuer: 'https://id.example.com/' }, 'jwtIssuer'],
    [{ jwtIssuer: 'https://id.example.com/a/' }, 'jwtIssuer'],
    [{ jwtIssuer: 'https://id.example.com?a' }, 'jwtIssuer'],
    [{ jwtIssuer: 'https://u@id.example.com' }, 'jwtIssuer'],
    [{ colour: 1 }, 'colour'],
  ];
  for (const [change, field] of bad) {
    assert.throws(
      () => parseConfig({ ...LEAST, ...change }),
      (error) => isWritError(error, 'bad_config') && error.field === field,
      field,
    );
  }
});
