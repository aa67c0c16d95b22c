import assert from 'node:assert/strict';
import { onBothEngines } from '../../../test/stores.ts';
import { newBatch } from '../../db/batch.ts';
import { type Federation, insertFederation, listFederations } from '../../spiffe/federation.ts';
import { federationMetrics } from '../../spiffe/federation-status.ts';
import type { TrustDomain } from '../../spiffe-id/trust-domain.ts';
import { federations } from './federations.ts';

const NOW = 1_800_000_000_000;
const DAY = 86_400_000;

onBothEngines(
  'the doctor warns of who is away, and fails of who says what it may not',
  async ({ database, commit }) => {
    const add = async (name: string, more: Partial<Federation>): Promise<void> => {
      const batch = newBatch();
      insertFederation(batch, {
        ...{ trustDomain: name as TrustDomain, url: 'https://x.example/', profile: 'https_web', pollAt: NOW },
        ...{ createdAt: NOW, createdBy: 'system:test', version: 1, ...more },
      });
      await commit(batch);
    };
    const look = async (now = NOW): Promise<string> => {
      const { state, found } = await federations(database, now);
      return `${state}: ${found}`;
    };
    assert.equal(await look(), 'pass: none');
    await add('good.example', { bundle: { keys: [] }, goodAt: NOW });
    assert.equal(await look(), 'pass: 1 fetched as they should be');
    await add('away.example', { fault: 'unreachable', bundle: { keys: [] }, goodAt: NOW });
    assert.equal(await look(), 'warn: cannot be fetched now: away.example (unreachable)');
    await add('waiting.example', {});
    assert.equal(await look(), 'warn: cannot be fetched now: away.example (unreachable), waiting.example');
    // Whatever became of whoever fetches: a day and an hour without a bundle is too long.
    const late = 'not fetched for a day: away.example (unreachable), good.example, waiting.example';
    assert.equal(await look(NOW + DAY + 3_600_001), `fail: ${late}`);
    await add('liar.example', {
      fault: 'own_domain',
      bundle: { keys: [], sequence: 7 },
      goodAt: NOW,
      triedAt: NOW + 5000,
    });
    const refused = 'what is fetched is not believed: liar.example (own_domain)';
    assert.equal(await look(), `fail: ${refused}`);
    assert.equal(await look(NOW + DAY + 3_600_001), `fail: ${refused}; ${late}`, 'one does not hide the other');
    const lines = federationMetrics(await listFederations(database), NOW + 9000).split('\n');
    for (const line of [
      'writ_federation_bundle_age_seconds{trust_domain="good.example"} 9',
      'writ_federation_bundle_sequence{trust_domain="liar.example"} 7',
      'writ_federation_status{trust_domain="good.example",status="good"} 1',
      'writ_federation_status{trust_domain="liar.example",status="refused"} 1',
      'writ_federation_status{trust_domain="liar.example",status="good"} 0',
      `writ_federation_refused_timestamp_seconds{trust_domain="liar.example",fault="own_domain"} ${NOW / 1000 + 5}`,
    ]) {
      assert.ok(lines.includes(line), line);
    }
    assert.ok(!lines.some((line) => /bundle_age.*waiting|refused_timestamp.*good/.test(line)));
  },
);
