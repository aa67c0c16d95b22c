import { WritError } from '../base/error.ts';
import type { Transaction } from './database.ts';

/**
 * Locks a family's map until the transaction ends, and gives the revision that the change bears. Changes of one map thus
 * become visible in the order of their revisions.
 */
export async function nextRevision(tx: Transaction, family: string): Promise<number> {
  const row = await tx.get('UPDATE partition_family SET revision = revision + 1 WHERE family = ? RETURNING revision', [
    family,
  ]);
  if (row === undefined) throw new WritError('internal', 'A partition family has no map.');
  return Number(row['revision']);
}
