import { readFile } from 'node:fs/promises';
import { WritError } from '../../base/error.ts';

/** Of what may be given in several ways, exactly one. Throws `bad_config` otherwise. */
export function requireOne(given: Readonly<Record<string, unknown>>): void {
  if (Object.values(given).filter((value) => value !== undefined).length === 1) return;
  throw new WritError('bad_config', 'The evidence is not given, or given twice.', {
    field: Object.keys(given)[0]!,
    remedy: `Give one of ${Object.keys(given).join(', ')}.`,
  });
}

/** A file of the evidence. Throws `bad_config` that says which. */
export async function readText(file: string, field: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new WritError('bad_config', 'A file of the evidence cannot be read.', {
      field,
      remedy: `Check the path, and that this user may read it: ${file}`,
      cause,
    });
  }
}
