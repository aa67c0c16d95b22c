import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export const CORPUS: string = join(import.meta.dirname, 'corpus');

export interface Sample {
  readonly file: string;
  readonly bytes: Uint8Array;
  /** Files whose names begin with `ok-` are accepted, all others refused; the test holds both. */
  readonly accepted: boolean;
}

/** The files of a target, in the order of their names. Throws when there are none. */
export function readCorpus(target: string): Sample[] {
  const files = readdirSync(join(CORPUS, target)).sort();
  return files.map((file) => ({
    file,
    bytes: new Uint8Array(readFileSync(join(CORPUS, target, file))),
    accepted: file.startsWith('ok-'),
  }));
}
