import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWritError } from '../base/error.ts';
import { parseConfig } from './config.ts';

const LEAST = { trustDomain: 'agents.example.com', anchor: '/var/lib/writ-anchor' };

test('rates are what they are unless told otherwise, each by itself', () => {
  const { rateLimit, writeLimit } = parseConfig(LEAST);
  assert.deepEqual(rateLimit, { perSecond: 2000, burst: 4000 });
  assert.deepEqual(writeLimit, { perSecond: 20, burst: 200 });
  const changed = parseConfig({ ...LEAST, writeLimit: { burst: 5 } });
  assert.deepEqual(changed.writeLimit, { perSecond: 20, burst: 5 });
  assert.deepEqual(changed.rateLimit, rateLimit);
});

test('tokens are signed with ES256 unless the configuration says RS256', () => {
  const { signals } = parseConfig({ ...LEAST, signals: {} });
  assert.deepEqual([signals.algorithm, parseConfig(LEAST).signals.algorithm], ['ES256', 'ES256']);
  assert.equal(parseConfig({ ...LEAST, signals: { algorithm: 'RS256' } }).signals.algorithm, 'RS256');
});

test('what is not known or not in range is refused by its path', () => {
  const bad: readonly [object, string][] = [
    [{ writeLimit: { perSecond: 0 } }, 'writeLimit.perSecond'],
    [{ writeLimit: { burst: 1.5 } }, 'writeLimit.burst'],
    [{ writeLimit: { perMinute: 1 } }, 'writeLimit.perMinute'],
    [{ writeLimit: 20 }, 'writeLimit'],
    [{ rateLimit: { burst: 0 } }, 'rateLimit.burst'],
    [{ signals: { algorithm: 'HS256' } }, 'signals.algorithm'],
    [{ signals: { issuer: 'http://writ.example.com' } }, 'signals.issuer'],
    [{ signals: { keys: 2 } }, 'signals.keys'],
    [{ attestation: { allowNetworks: '10.0.0.0/8' } }, 'attestation.allowNetworks'],
    [{ attestation: { networks: [] } }, 'attestation.networks'],
    [{ attestation: { reviewerTokens: { prod: 7 } } }, 'attestation.reviewerTokens.prod'],
    [{ attestation: { reviewerTokens: 'file' } }, 'attestation.reviewerTokens'],
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
