import type { Batch } from '../db/batch.ts';
import type { Reader } from '../db/database.ts';

/** The instance that an orchestrator has by this reference, whatever has become of it. */
export async function readOwned(reader: Reader, parent: string, reference: string): Promise<string | undefined> {
  const row = await reader.get('SELECT instance FROM owned_instance WHERE parent = ? AND reference = ?', [
    parent,
    reference,
  ]);
  return row?.['instance'] as string | undefined;
}

/** Of two that take one reference at the same time, also at two replicas, the commit refuses one with `conflict`. */
export function takeReference(
  batch: Batch,
  { parent, reference, instance }: { readonly parent: string; readonly reference: string; readonly instance: string },
): void {
  batch.checks.push({
    sql: 'SELECT 1 FROM owned_instance WHERE parent = ? AND reference = ?',
    params: [parent, reference],
    want: 'absent',
    refusal: 'conflict',
    reason: 'There is an instance by that reference.',
  });
  batch.writes.push({
    sql: 'INSERT INTO owned_instance (parent, reference, instance) VALUES (?, ?, ?)',
    params: [parent, reference, instance],
  });
}
