import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { systemClock } from '../base/clock.ts';
import { silentLog } from '../base/log.ts';
import { HttpServer } from '../http/server.ts';
import { plainRoutes } from './plain.ts';
import { problemReplies } from './problems.ts';

const DER = new Uint8Array([0x30, 0x00]);

const list = (id: string, number: number) =>
  id === 'one' ? { der: DER, number, nextUpdate: 900_000, keep: 60 } : undefined;

describe('the plain listener', () => {
  let server: HttpServer;
  let origin: string;
  before(async () => {
    const routes = plainRoutes({
      certificate: async (id) => (id === 'root' ? DER : undefined),
      crl: async (id) => (id === 'root' ? { der: DER, number: 7, nextUpdate: 90_000, keep: 3600 } : undefined),
      shard: async (id) => (id === 'old' ? { der: DER, number: 8, nextUpdate: 60_000, keep: 60 } : list(id, 8)),
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

  test('says that a list is the same, and shows it to HEAD', async () => {
    const url = `${origin}/crl/shard/one.crl`;
    const head = await fetch(url, { method: 'HEAD' });
    assert.deepEqual([head.status, head.headers.get('content-length'), head.headers.get('etag')], [200, '2', '"8"']);
    const ask = async (tag: string) => (await fetch(url, { headers: { 'if-none-match': tag } })).status;
    assert.deepEqual([await ask('"8"'), await ask('"7"')], [304, 200]);
  });

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
