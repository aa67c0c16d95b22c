import { readFileSync } from 'node:fs';
import { WritError } from '../../base/error.ts';

/** PEM of the roots in a file that a configuration names. Throws `bad_config` with the field when it cannot be read. */
export function readRoots(path: string, field: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch (cause) {
    throw new WritError('bad_config', 'The file cannot be read.', {
      field,
      remedy: 'Give the path of a PEM file that the server may read.',
      cause,
    });
  }
}
