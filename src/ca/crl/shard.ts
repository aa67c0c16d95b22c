import type { Batch } from '../../db/batch.ts';
import type { Reader } from '../../db/database.ts';
import { pushPiecePurge } from './pieces.ts';

/**
 * A shard of the revocation lists of one authority: about five thousand certificates name it from their issue on, so
 * that no list grows beyond what a relying party likes to fetch.
 */
export interface Shard {
  /** Random, safe in a URL. */
  readonly id: string;
  /** Id of the authority that signs its certificates and its lists. */
  readonly issuer: string;
  /** Milliseconds. */
  readonly createdAt: number;
}

/** Adds a shard; one that is there stays. Belongs into the batch of the first certificate that names it. */
export function insertShard(batch: Batch, { id, issuer, createdAt }: Shard): void {
  batch.writes.push({
    sql: 'INSERT INTO crl_shard (id, issuer, created_at) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING',
    params: [id, issuer, createdAt],
  });
}

export async function readShard(reader: Reader, id: string): Promise<Shard | undefined> {
  const row = await reader.get('SELECT issuer, created_at FROM crl_shard WHERE id = ?', [id]);
  if (row === undefined) return undefined;
  return { id, issuer: row['issuer'] as string, createdAt: row['created_at'] as number };
}

/**
 * Pushes that shards whose authority has expired go with their lists, at most `limit` of them; refused where there are
 * none. No certificate of theirs is valid any more.
 */
export function pushShardPurge(batch: Batch, now: number, limit: number): void {
  const over =
    'SELECT s.id FROM crl_shard s WHERE s.issuer IN (SELECT id FROM authority WHERE not_after < ?) ' + `LIMIT ${limit}`;
  const expired = '(SELECT id FROM authority WHERE not_after < ?)';
  batch.checks.push({
    sql: `SELECT 1 FROM crl_shard WHERE issuer IN ${expired} UNION ALL SELECT 1 FROM crl_piece WHERE list IN ${expired}`,
    params: [now, now],
    want: 'present',
    refusal: 'not_found',
    reason: 'No shard is past its time.',
  });
  batch.writes.push(
    { sql: 'DELETE FROM crl_list WHERE id IN (SELECT id FROM authority WHERE not_after < ?)', params: [now] },
    { sql: `DELETE FROM crl_list WHERE id IN (${over})`, params: [now] },
    { sql: `DELETE FROM crl_shard WHERE id IN (${over})`, params: [now] },
  );
  pushPiecePurge(batch, now);
}
