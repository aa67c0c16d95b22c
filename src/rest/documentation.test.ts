import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ERROR_CODES, type ErrorCode } from '../base/error.ts';
import { DEFAULT_LIMITS } from '../http/limits.ts';
import { FEED_ROUTES } from './feed.ts';
import { statusOf } from './problems.ts';
import { withDescription } from './tables.ts';
import { idleOperations } from './testdata/idle-operations.ts';

const text = readFileSync(join(import.meta.dirname, '../../docs/REST.md'), 'utf8');
const rows = [...text.matchAll(/^\| `(GET|POST|PUT|PATCH|DELETE) (\S+)` \| (.*) \|$/gm)];

/** `{level}/{index}` and the like stand for what the route takes as one. */
function routeOf(path: string): string {
  return path.replace(/^(\/ledger\/tile\/(entries\/)?)\{.*$/, '$1{path...}');
}

test('docs/REST.md has every route, with its action, and no other', () => {
  const documented = rows
    .filter(([, , , rest]) => !rest!.startsWith('plain'))
    .map(([, method, path, rest]) => `${method} ${routeOf(path!)} ${/`(\w+\.\w+)`/.exec(rest!)?.[1] ?? ''}`);
  const served = [...withDescription(idleOperations(), '0.0.0'), ...FEED_ROUTES]
    .filter(({ path }) => !path.startsWith('/v1/services'))
    .map(({ method, path, action = '' }) => `${method} ${path} ${action}`);
  assert.deepEqual(documented.sort(), served.sort());
});

test('docs/REST.md says which routes are public', () => {
  const documented = rows
    .filter(([, , , rest]) => rest!.startsWith('public'))
    .map(([, method, path]) => `${method} ${routeOf(path!)}`);
  const served = withDescription(idleOperations(), '0.0.0').filter(({ access }) => access === 'public');
  assert.deepEqual(documented.sort(), served.map(({ method, path }) => `${method} ${path}`).sort());
});

test('docs/REST.md gives every code that a caller can act on its status', () => {
  const table = text.slice(text.indexOf('| status | codes |'));
  for (const code of Object.keys(ERROR_CODES) as ErrorCode[]) {
    if (statusOf(code) === 500) continue;
    const line = table.split('\n').find((row) => row.includes(`\`${code}\``)) ?? '';
    assert.ok(line.split('|')[1]?.includes(String(statusOf(code))), code);
  }
});

test('docs/REST.md gives the limits that are in force', () => {
  const said: [string, number, number][] = [
    ['| request line | 4 096 characters', DEFAULT_LIMITS.target, 4096],
    ['| headers | 16 KiB', DEFAULT_LIMITS.headers, 16 * 1024],
    ['| headers to arrive | 10 s', DEFAULT_LIMITS.headersTimeout, 10_000],
    ['| whole request to arrive | 20 s', DEFAULT_LIMITS.requestTimeout, 20_000],
    ['| idle connection | 60 s', DEFAULT_LIMITS.idleTimeout, 60_000],
    ['| connection that stalls within a request or answer | 60 s', DEFAULT_LIMITS.stallTimeout, 60_000],
    ['| connections, an address | 2 048 ', DEFAULT_LIMITS.connectionsPerAddress, 2048],
    ['| requests in work, a caller | 256 ', DEFAULT_LIMITS.inWorkPerCaller, 256],
    ['| requests in work, all callers | 2 048 ', DEFAULT_LIMITS.inWork, 2048],
    ['| requests in work, all without certificate | 1 024 ', DEFAULT_LIMITS.inWorkStrangers, 1024],
    ['At most 65 536 callers', DEFAULT_LIMITS.remembered, 65_536],
  ];
  for (const [line, limit, value] of said) assert.ok(text.includes(line) && limit === value, line);
});
