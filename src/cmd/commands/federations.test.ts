import assert from 'node:assert/strict';
import { onBothEngines } from '../../../test/stores.ts';
import { newBatch } from '../../db/batch.ts';
import { type Federation, insertFederation } from '../../spiffe/federation.ts';
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
    assert.equal(await look(), 'warn: cannot be fetched now: away.example');
    await add('waiting.example', {});
    assert.equal(await look(), 'warn: cannot be fetched now: away.example, waiting.example');
    assert.equal(await look(NOW + DAY + 1), 'fail: not fetched for a day: away.example, waiting.example');
    await add('liar.example', { fault: 'own_domain', bundle: { keys: [] }, goodAt: NOW });
    assert.equal(await look(), 'fail: what is fetched is not believed: liar.example');
  },
);
