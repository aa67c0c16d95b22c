import { readFileSync } from 'node:fs';

/** Version of the program, from `package.json`, which lies two folders up in a checkout and in the built package. */
export const VERSION: string = (
  JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
).version;
