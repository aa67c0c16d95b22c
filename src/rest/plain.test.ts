import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { systemClock } from '../base/clock.ts';
import { silentLog } from '../base/log.ts';
import { HttpServer } from '../http/server.ts';
import { plainRoutes } from './plain.ts';
import { problemReplies } from './problems.ts';

const DER = new Uint8Array([0x30, 0x00]);

describe('the plain listener', () => {
  let server: HttpServer;
  let origin: string;
  before(async () => {
    const routes = plainRoutes({
      certificate: async (id) => (id === 'root' ? DER : undefined),
      crl: async (id) => (id === 'root' ? { der: DER, nextUpdate: 90_000 } : undefined),
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
  ];
  for (const [path, type, cache] of found) {
    test(`has ${path}`, async () => {
      const answer = await fetch(`${origin}${path}`);
      assert.deepEqual(new Uint8Array(await answer.arrayBuffer()), DER);
      assert.deepEqual([answer.headers.get('content-type'), answer.headers.get('cache-control')], [type, cache]);
    });
  }

  test('has nothing else', async () => {
    for (const path of [
      '/',
      '/ca/other.cer',
      '/crl/other.crl',
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
