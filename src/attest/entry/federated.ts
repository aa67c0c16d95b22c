import type { Caller } from '../../base/access.ts';
import type { Reader } from '../../db/database.ts';
import { readInstanceEvidence } from '../evidence-store.ts';

/**
 * The trust domains whose bundles an instance is given: those of the registration entry by which it was let in and, of a node, those
 * of the entries of what it lets in. Undefined where no entry says anything of it, as of an instance with a join token: it is given
 * all. Nothing of an entry that was removed counts.
 */
export async function federatedDomains(
  reader: Reader,
  { agent, instance }: Pick<Caller, 'agent' | 'instance'>,
): Promise<ReadonlySet<string> | undefined> {
  if (agent === undefined || instance === undefined) return undefined;
  const own = (await readInstanceEvidence(reader, instance))?.entry;
  const rows = await reader.all('SELECT DISTINCT federates_with FROM registration_entry WHERE id = ? OR node = ?', [
    own ?? '',
    agent,
  ]);
  if (own === undefined && rows.length === 0) return undefined;
  return new Set(rows.flatMap((row) => JSON.parse(row['federates_with'] as string) as string[]));
}
