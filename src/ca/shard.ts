import type { Batch } from '../db/batch.ts';
import type { Reader } from '../db/database.ts';

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
