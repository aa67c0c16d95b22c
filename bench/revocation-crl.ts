import { join } from 'node:path';
import { systemClock } from '../src/base/clock.ts';
import { activeOf } from '../src/ca/authority.ts';
import { makeSerial } from '../src/ca/certificate/serial.ts';
import { FullList } from '../src/ca/crl/full-list.ts';
import { shardList } from '../src/ca/crl/publish-shard.ts';
import { pushRevoked } from '../src/ca/crl/revoked.ts';
import { insertShard } from '../src/ca/crl/shard.ts';
import { listParts } from '../src/cmd/server/list-upkeep.ts';
import { type Batch, newBatch } from '../src/db/batch.ts';
import { committed } from '../src/db/committed.ts';
import { makeInstallation, openInstallation } from './installation.ts';
import { median } from './statistics.ts';

/** Certificates of one shard: all of them are revoked in the end. */
const SHARD = 5000;
/** Revocations that are followed by a list of their shard. */
const SAMPLES = 25;

/**
 * `crl_shard_ms`: how long it takes from the commit of a revocation until the list of its shard and the delta are signed and recorded,
 * in a shard that is nearly full, with 1 000 000 revoked in all (quick: 100 000). `crl_full_ms`: the same for the list of
 * the whole authority, which is made beside all else.
 */
export async function measureCrl(
  directory: string,
  { quick, progress }: { readonly quick: boolean; readonly progress: (text: string) => void },
): Promise<Record<string, number>> {
  const revoked = quick ? 100_000 : 1_000_000;
  const data = join(directory, 'crl', 'writ-data');
  await makeInstallation(data, systemClock);
  const { database, parts, close } = await openInstallation(data, systemClock);
  const lists = listParts(parts);
  const issuer = activeOf(parts.authority.authorities(), 'issuing')!.id;
  const now = systemClock.now();
  const certificate = (shard: string) => ({
    serial: makeSerial(now, 86_400, parts.random),
    ...{ issuer, shard, expiresAt: now + 86_400_000 },
  });
  const act = async (push: (batch: Batch) => void): Promise<void> => {
    const batch = newBatch();
    push(batch);
    committed(await parts.commit(batch));
  };
  progress(`revoking ${revoked} certificates`);
  // Straight into the table: how they came there is measured elsewhere.
  for (let done = 0; done < revoked; done += SHARD) {
    const shard = `shard${done / SHARD}`;
    const count = Math.min(SHARD - SAMPLES, revoked - done);
    await database.transaction(async (tx) => {
      for (let i = 0; i < count; i++) {
        const { serial, expiresAt } = certificate(shard);
        await tx.run(
          'INSERT INTO revoked (serial, issuer, shard, reason, at, expires_at, sequence) VALUES (?, ?, ?, 1, ?, ?, ?)',
          [serial, issuer, shard, now, expiresAt, done + i + 1],
        );
      }
    });
    await act((batch) => insertShard(batch, { id: shard, issuer, createdAt: now }));
  }
  const full = new FullList(issuer, lists);
  await full.publish();
  const [shardMs, fullMs]: [number[], number[]] = [[], []];
  for (let i = 0; i < SAMPLES; i++) {
    const shard = 'shard0';
    await act((batch) => pushRevoked(batch, certificate(shard), { at: systemClock.now(), reason: 1 }));
    const begun = performance.now();
    await shardList(shard, lists);
    const between = performance.now();
    // The first few find code that no compiler has seen.
    if (i >= 5) shardMs.push(between - begun);
    if (i % 5 > 0) continue;
    await full.publish();
    if (i >= 5) fullMs.push(performance.now() - between);
  }
  await close();
  return { crl_shard_ms: median(shardMs), crl_full_ms: median(fullMs), crl_revoked: revoked };
}
