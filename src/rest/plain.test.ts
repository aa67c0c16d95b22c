import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { systemClock } from '../base/clock.ts';
import { silentLog } from '../base/log.ts';
import { HttpServer } from '../http/server.ts';
import { plainRoutes } from './plain.ts';
import { problemReplies } from './problems.ts';

const DER = new Uint8Array([0x30, 0x00]);

const list = (id: string, number: number) =>
  id === 'one' ? { der: DER, number, thisUpdate: 30_000, nextUpdate: 900_000, keep: 60 } : undefined;

describe('the plain listener', () => {
  let server: HttpServer;
  let origin: string;
  before(async () => {
    const routes = plainRoutes({
      certificate: async (id) => (id === 'root' ? DER : undefined),
      crl: async (id) =>
        id === 'root' ? { der: DER, number: 7, thisUpdate: 0, nextUpdate: 90_000, keep: 3600 } : undefined,
      shard: async (id) =>
        id === 'old' ? { der: DER, number: 8, thisUpdate: 0, nextUpdate: 60_000, keep: 60 } : list(id, 8),
      delta: async (id) => list(id, 8),
      now: () => 60_000,
    });
    server = new HttpServer({ routes, clock: systemClock, problem: problemReplies(silentLog) });
    const { port } = await server.listen({ host: '127.0.0.1', port: 0 });
    origin = `http://127.0.0.1:${port}`;
  });
  after(() => server.close(100));

  const found: [string, string, string][] = [
    ['/ca/root.cer', 'application/pkix-cert', 'public, max-age=31536000, immutable'],
    ['/crl/root.crl', 'application/pkix-crl', 'public, max-age=30'],
    ['/crl/shard/one.crl', 'application/pkix-crl', 'public, max-age=60'],
    ['/crl/delta/one.crl', 'application/pkix-crl', 'public, max-age=60'],
  ];
  for (const [path, type, cache] of found) {
    test(`has ${path}`, async () => {
      const answer = await fetch(`${origin}${path}`);
      assert.deepEqual(new Uint8Array(await answer.arrayBuffer()), DER);
      assert.deepEqual([answer.headers.get('content-type'), answer.headers.get('cache-control')], [type, cache]);
    });
  }

  for (const [path, tag, modified] of [
    ['/ca/root.cer', '"root"', null],
    ['/crl/root.crl', '"7"', 'Thu, 01 Jan 1970 00:00:00 GMT'],
    ['/crl/shard/one.crl', '"8"', 'Thu, 01 Jan 1970 00:00:30 GMT'],
    ['/crl/delta/one.crl', '"8"', 'Thu, 01 Jan 1970 00:00:30 GMT'],
  ] as const) {
    test(`says that ${path} is the same, and shows it to HEAD`, async () => {
      const url = `${origin}${path}`;
      const head = await fetch(url, { method: 'HEAD' });
      const shown = (name: string): string | null => head.headers.get(name);
      assert.deepEqual([head.status, shown('content-length'), shown('etag')], [200, '2', tag]);
      assert.equal(shown('last-modified'), modified);
      assert.equal((await head.arrayBuffer()).byteLength, 0);
      const ask = async (known: Record<string, string>): Promise<[number, string | null]> => {
        const answer = await fetch(url, { headers: known });
        return [answer.status, answer.headers.get('cache-control')];
      };
      const [, cache] = await ask({});
      assert.deepEqual(await ask({ 'if-none-match': tag }), [304, cache]);
      assert.deepEqual(await ask({ 'if-none-match': `"x", W/${tag}` }), [304, cache]);
      assert.deepEqual(await ask({ 'if-none-match': '*' }), [304, cache]);
      assert.deepEqual(await ask({ 'if-none-match': '"6"' }), [200, cache]);
      // Two lists may bear one time, so that a time never says that a list is the same.
      assert.deepEqual(await ask({ 'if-modified-since': new Date().toUTCString() }), [200, cache]);
    });
  }

  test('has no list whose time is past', async () => {
    assert.equal((await fetch(`${origin}/crl/shard/old.crl`)).status, 503);
  });

  test('has nothing else', async () => {
    for (const path of [
      '/',
      '/ca/other.cer',
      '/crl/other.crl',
      '/crl/shard/other.crl',
      '/crl/delta/other.crl',
      '/crl/shard/',
      '/healthz',
      '/v1/trust/root.pem',
      '/v1/enrol',
      '/metrics',
    ]) {
      assert.equal((await fetch(`${origin}${path}`)).status, 404, path);
    }
    assert.equal((await fetch(`${origin}/ca/root.cer`, { method: 'POST' })).status, 405);
  });
});
