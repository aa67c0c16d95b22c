import { readFileSync, statSync } from 'node:fs';
import { unlessOfTheProcess } from './collector.ts';

/**
 * Names of users or groups as a file like `/etc/passwd` has them, read again when it has changed. While it cannot be read
 * it says what it said last: that it is away for a moment makes nobody another user.
 */
export class Accounts {
  readonly #path: string;
  #state = '';
  #names = new Map<number, string>();

  constructor(path: string) {
    this.#path = path;
  }

  /** The first name that the file has for this number; undefined where it has none. */
  nameOf(id: number): string | undefined {
    try {
      const { mtimeMs, ctimeMs, size, ino } = statSync(this.#path);
      const state = `${mtimeMs}.${ctimeMs}.${size}.${ino}`;
      if (state !== this.#state) {
        this.#names = parse(readFileSync(this.#path, 'utf8'));
        this.#state = state;
      }
    } catch (error) {
      if (this.#state === '') unlessOfTheProcess(error);
    }
    return this.#names.get(id);
  }
}

/** Name, password, number, … (passwd(5), group(5)). */
function parse(text: string): Map<number, string> {
  const names = new Map<number, string>();
  for (const line of text.split('\n')) {
    const [name, , id] = line.split(':');
    if (name === undefined || name === '' || name.startsWith('#') || !/^\d+$/.test(id ?? '')) continue;
    if (!names.has(Number(id))) names.set(Number(id), name);
  }
  return names;
}
