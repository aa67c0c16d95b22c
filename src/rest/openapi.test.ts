import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Feed } from '../status/feed/feed.ts';
import { feedRoutes } from '../status/feed/routes.ts';
import type { FeedSigner } from '../status/feed/signer.ts';
import { COMPONENTS } from '../wire/components.ts';
import { parse, type Schema } from '../wire/schema.ts';
import { FEED_ROUTES } from './feed.ts';
import { type Described, openApiDocument } from './openapi.ts';
import { operation } from './operation.ts';
import { routeTables, withDescription } from './tables.ts';
import { idleOperations } from './testdata/idle-operations.ts';

const operations = withDescription(idleOperations(), '0.1.0');
const described: readonly Described[] = [...operations, ...FEED_ROUTES];

interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, OperationObject>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
}

interface OperationObject {
  readonly operationId: string;
  readonly security?: readonly object[];
  readonly parameters: readonly { readonly name?: string; readonly in?: string; readonly $ref?: string }[];
  readonly requestBody?: object;
  readonly responses: Readonly<Record<string, object>>;
}

const document = JSON.parse(JSON.stringify(openApiDocument(described, '0.1.0'))) as Document;

test('each route is there, with its parameters, and nothing else is', () => {
  const found = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, one]) => ({ path, method: method.toUpperCase(), one })),
  );
  const parts = { answers: { get: async () => undefined }, clock: { now: () => 0 }, refresh: async () => {} };
  const { api } = routeTables(idleOperations(), '0.1.0', parts);
  // Nothing of them is called here.
  const feed = feedRoutes({} as Feed, {} as FeedSigner);
  assert.deepEqual(
    found.map(({ path, method }) => `${method} ${path}`).sort(),
    [...api, ...feed].map(({ path, method }) => `${method} ${path.replace('...}', '}')}`).sort(),
  );
  for (const { path, one, method } of found) {
    const named = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
    const given = one.parameters.filter((parameter) => parameter.in === 'path').map((parameter) => parameter.name);
    assert.deepEqual(given, named, path);
    const keyed = one.parameters.some((parameter) => parameter.$ref === '#/components/parameters/IdempotencyKey');
    const noted = feed.find((route) => route.path === path)?.recordsNothing === true;
    assert.equal(keyed, method !== 'GET' && !noted && !path.endsWith('/jwt-svids'), path);
  }
});

test('public routes say that they need no certificate, others inherit that they do', () => {
  for (const { path, method, access } of described) {
    const one = document.paths[path.replace('...}', '}')]![method.toLowerCase()]!;
    assert.deepEqual(one.security, access === 'public' ? [] : undefined, path);
  }
});

test('every reference leads somewhere', () => {
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)].map((match) => match[1]!);
  assert.ok(references.length > 50);
  for (const reference of references) {
    let at: unknown = document;
    for (const step of reference.split('/')) at = (at as Record<string, unknown>)[step];
    assert.equal(typeof at, 'object', reference);
  }
});

test('every component is used, and every object is closed', () => {
  const text = JSON.stringify(document);
  for (const name of Object.keys(COMPONENTS)) {
    assert.ok(text.includes(`"#/components/schemas/${name}"`), `${name} is used nowhere`);
  }
  const walk = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    const object = value as Record<string, unknown>;
    if (object['type'] === 'object' && object['properties'] !== undefined)
      assert.equal(object['additionalProperties'], false);
    if (object['type'] === 'string' && object['enum'] === undefined && object['const'] === undefined) {
      assert.ok('maxLength' in object || 'pattern' in object || 'format' in object, JSON.stringify(object));
    }
    if (object['type'] === 'array') assert.ok('maxItems' in object, JSON.stringify(object));
    Object.values(object).forEach(walk);
  };
  walk(document.components.schemas);
});

test('every example is what its schema says', () => {
  let checked = 0;
  for (const { id, body, answer, example } of described) {
    const pairs: [Schema<unknown> | undefined, unknown][] = [
      [body, example?.body],
      [answer, example?.answer],
    ];
    for (const [schema, value] of pairs) {
      if (value === undefined) continue;
      assert.ok(schema !== undefined, id);
      assert.doesNotThrow(() => parse(schema, JSON.parse(JSON.stringify(value)), 'body'), id);
      checked += 1;
    }
  }
  assert.ok(checked > 40);
});

test('every operation that takes a body shows one', () => {
  for (const { id, body, example } of described) assert.equal(body !== undefined, example?.body !== undefined, id);
});

test('a defect of the table is noticed', () => {
  const parts = { answers: { get: async () => undefined }, clock: { now: () => 0 }, refresh: async () => {} };
  const twice = [...idleOperations(), idleOperations()[0]!];
  assert.throws(() => routeTables(twice, '0.1.0', parts), TypeError);
  const stray: Schema<unknown> = COMPONENTS['Agent']!.meta({ stray: true });
  const one = operation({
    id: 'x',
    method: 'GET',
    path: '/x',
    access: 'public',
    summary: '',
    answer: stray,
    handle: () => ({}),
  });
  assert.throws(() => openApiDocument([one], '0.1.0'), TypeError);
});
