import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const made = new Set<string>();

// What uses them dies first: who starts something here has it killed with this process, and was imported before.
process.on('exit', () => {
  for (const folder of made) remove(folder);
});

/** A directory that goes with this process at the latest, if that ends by itself or by a signal that it heeds. */
export function scratchFolder(prefix: string): string {
  const folder = mkdtempSync(join(tmpdir(), prefix));
  made.add(folder);
  return folder;
}

export function removeScratch(folder: string): void {
  remove(folder);
  made.delete(folder);
}

/** Whoever was killed a moment ago may still be writing into it. */
function remove(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
}
