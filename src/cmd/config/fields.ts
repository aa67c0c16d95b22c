import { WritError } from '../../base/error.ts';

/** An object with no other keys than the known ones. `field` is its path, empty for the whole file. */
export function keysOf(value: unknown, field: string, known: readonly string[]): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    fail(field === '' ? 'config' : field, 'is not an object', 'Write { … }.');
  }
  const unknown = Object.keys(value).find((key) => !known.includes(key));
  if (unknown !== undefined) {
    fail(field === '' ? unknown : `${field}.${unknown}`, 'is not a known key', `Known here: ${known.join(', ')}.`);
  }
  return value as Record<string, unknown>;
}

/** A string of 1 to 4096 characters. */
export function text(value: unknown, field: string): string {
  if (value === undefined) fail(field, 'is missing', 'Add it to the file, a string.');
  if (typeof value !== 'string' || value === '' || value.length > 4096) fail(field, 'is not a text', 'Give a string.');
  return value;
}

/** One to a hundred of them. */
export function texts(value: unknown, field: string): readonly string[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > 100) {
    fail(field, 'is not a list', 'Give a list of one to a hundred strings.');
  }
  return value.map((item, index) => text(item, `${field}.${index}`));
}

/** A whole number within both bounds, themselves included. */
export function whole(value: unknown, field: string, least: number, most: number): number {
  if (!Number.isInteger(value) || (value as number) < least || (value as number) > most) {
    fail(field, 'is not in range', `Give a whole number from ${least} to ${most}.`);
  }
  return value as number;
}

/** One of these words. */
export function oneOf<T extends string>(value: unknown, field: string, choices: readonly T[]): T {
  if (!choices.includes(value as T)) fail(field, 'is not a known value', `Use one of: ${choices.join(', ')}.`);
  return value as T;
}

/** Throws `bad_config` that names the field: what all functions of this file throw. */
export function fail(field: string, fault: string, remedy: string): never {
  throw new WritError('bad_config', `The configuration value ${fault}`, { field, remedy });
}

/** None where none are given, and where an empty list says so, as a new installation's file does. */
export function networksOf(value: unknown, field: string): readonly string[] {
  return value === undefined || (Array.isArray(value) && value.length === 0) ? [] : texts(value, field);
}
