import { existsSync, readFileSync } from 'node:fs';
import { WritError } from '../base/error.ts';

/** The policy set of a new installation. */
export function defaultPolicyText(): string {
  return read('default.cedar');
}

/** What rules can talk about, in Cedar's schema language. */
export function schemaText(): string {
  return read('schema.cedarschema');
}

/** Beside this file in a checkout; in `dist/policy/`, where the build puts them, when this is part of a bundle. */
function read(file: string): string {
  const places = ['./', '../policy/', './policy/'].map((place) => new URL(place + file, import.meta.url));
  const found = places.find((place) => existsSync(place));
  if (found === undefined) throw new WritError('internal', `${file} is missing from this installation.`);
  return readFileSync(found, 'utf8');
}
