import * as z from 'zod';
import { WritError } from '../base/error.ts';

/**
 * What a JSON value must look like. One schema validates, stands behind a TypeScript type and makes the part of the
 * OpenAPI document. This folder alone knows that it is zod's.
 */
export type Schema<T> = z.ZodType<T>;

/** A type with everything in it read-only, which is all that it may differ in from what zod infers. */
type Frozen<T> = T extends string | number | boolean ? T : { readonly [K in keyof T]: Frozen<T[K]> };

/** True for one and the same type: member by member, optional or not. */
type Same<A, B> = (<T>() => T extends Frozen<A> ? 1 : 2) extends <T>() => T extends Frozen<B> ? 1 : 2 ? true : false;

/**
 * Binds a schema to the type that is exported beside it. Compiles only when both describe the same: neither can have a
 * member, or a type of one, that the other has not.
 */
export function schemaOf<T>(): <S extends z.ZodType>(
  schema: Same<z.output<S>, T> extends true ? S : never,
) => Schema<T> {
  return (schema) => schema as unknown as Schema<T>;
}

/** Where a value came from, which is how its fields are named: `/owner/team`, `?limit`, `{name}`. */
export type Source = 'body' | 'query' | 'path';

/**
 * Gives the value back as what the schema says. Throws `bad_request` that names the first field that does not fit, what
 * is wrong with it and what would be right; never the value.
 */
export function parse<T>(schema: Schema<T>, value: unknown, source: Source): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = deepest(result.error.issues[0]!);
  const { fault, remedy } = describe(issue, value);
  throw new WritError('bad_request', fault, { field: fieldOf(issue, source), remedy });
}

/** JSON Schema (2020-12, as OpenAPI 3.1 has it) of named schemas, which refer to one another by name. */
export function jsonSchemas(named: Readonly<Record<string, Schema<unknown>>>): Record<string, object> {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(named)) registry.add(schema, { id });
  const { schemas } = z.toJSONSchema(registry, { uri: (id) => `#/components/schemas/${id}`, io: 'output' });
  return Object.fromEntries(
    Object.entries(schemas).map(([id, { $schema: _, $id: __, ...schema }]) => [id, schema as object]),
  );
}

/** The members of an object's schema, each as JSON Schema, and whether it must be there: for parameters. */
export function jsonMembers(schema: Schema<unknown>): { name: string; schema: object; required: boolean }[] {
  const { properties = {}, required = [] } = z.toJSONSchema(schema, { io: 'output' });
  return Object.entries(properties).map(([name, member]) => ({
    name,
    schema: member as object,
    required: required.includes(name),
  }));
}

type Issue = z.core.$ZodIssue;

/** Of a union the issue of that branch which came furthest: it is what the sender meant. */
function deepest(issue: Issue): Issue {
  if (issue.code !== 'invalid_union') return issue;
  let best: Issue | undefined;
  for (const [first] of issue.errors) {
    if (first === undefined) continue;
    const inner = deepest({ ...first, path: [...issue.path, ...first.path] } as Issue);
    if (best === undefined || inner.path.length > best.path.length) best = inner;
  }
  return best ?? issue;
}

function describe(issue: Issue, value: unknown): { fault: string; remedy: string } {
  const remedy = issue.message;
  switch (issue.code) {
    case 'invalid_type':
      if (valueAt(value, issue.path) === undefined)
        return { fault: 'A field is missing.', remedy: `Give ${article(issue.expected)}.` };
      return { fault: 'The value is of another type.', remedy: `Give ${article(issue.expected)}.` };
    case 'unrecognized_keys':
      return { fault: 'There is no such field here.', remedy: 'Leave it out, or correct its name.' };
    case 'too_big':
      return {
        fault: `The value is too ${extent(issue.origin).big}.`,
        remedy: `Give at most ${issue.maximum}${unitOf(issue.origin, issue.maximum)}.`,
      };
    case 'too_small':
      return {
        fault: `The value is too ${extent(issue.origin).small}.`,
        remedy: `Give at least ${issue.minimum}${unitOf(issue.origin, issue.minimum)}.`,
      };
    case 'invalid_value':
      return { fault: 'The value is not one of those allowed.', remedy: `Give one of: ${issue.values.join(', ')}.` };
    case 'invalid_format':
      return { fault: 'The value does not have the right form.', remedy };
    case 'invalid_key':
      return {
        fault: 'The name of a member does not have the right form.',
        remedy: issue.issues[0]?.message ?? remedy,
      };
    default:
      return { fault: 'The value does not fit.', remedy };
  }
}

function article(expected: string): string {
  const words: Record<string, string> = {
    int: 'a whole number',
    array: 'a list',
    object: 'an object',
    record: 'an object',
  };
  return words[expected] ?? `a ${expected}`;
}

function extent(origin: string): { big: string; small: string } {
  return origin === 'string' || origin === 'array' ? { big: 'long', small: 'short' } : { big: 'large', small: 'small' };
}

function unitOf(origin: string, count: number | bigint): string {
  const unit = { string: ' character', array: ' item' }[origin];
  if (unit === undefined) return '';
  return Number(count) === 1 ? unit : `${unit}s`;
}

function fieldOf(issue: Issue, source: Source): string {
  const path = [...issue.path.map(String)];
  if (issue.code === 'unrecognized_keys') path.push(issue.keys[0] ?? '');
  // The name of an unknown member is the sender's text: shown when it looks like a name, not otherwise.
  const names = path.map((name) => (/^[\w.-]{1,64}$/.test(name) ? name : '…'));
  if (source === 'query') return `?${names.join('.')}`;
  if (source === 'path') return `{${names.join('.')}}`;
  return names.map((name) => `/${name}`).join('');
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let at = value;
  for (const key of path) {
    if (typeof at !== 'object' || at === null) return undefined;
    at = (at as Record<PropertyKey, unknown>)[key];
  }
  return at;
}
