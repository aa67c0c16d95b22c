import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:net';
import { test } from 'node:test';
import { splitAddress } from './config/address.ts';
import { parseConfig } from './config/config.ts';
import { settlePlain, statusUrlOf } from './status-url.ts';

const LEAST = { trustDomain: 'agents.example.com', anchor: '/var/lib/writ-anchor' };

test('status is found under the first name and the plain port, or where the configuration says', () => {
  const table: readonly [object, string][] = [
    [{}, 'http://localhost:8480'],
    [{ names: ['ca.example.com', 'other.example.com'], listen: { plain: '0.0.0.0:80' } }, 'http://ca.example.com:80'],
    [{ names: ['2001:db8::1'], listen: { plain: '[::]:8480' } }, 'http://[2001:db8::1]:8480'],
    [{ listen: { plain: '127.0.0.1:0' } }, 'http://localhost:8480'],
    [{ statusUrl: 'http://pki.example.com' }, 'http://pki.example.com'],
    [{ statusUrl: 'http://pki.example.com:8080/writ' }, 'http://pki.example.com:8080/writ'],
  ];
  for (const [change, url] of table) assert.equal(statusUrlOf(parseConfig({ ...LEAST, ...change })), url);
});

test('a status URL is http:, without anything behind the path', () => {
  for (const statusUrl of [
    'https://a.example',
    'http://a.example/',
    'http://a.example?x',
    'http://u@a.example',
    'a',
    7,
  ]) {
    assert.throws(() => parseConfig({ ...LEAST, statusUrl }), { field: 'statusUrl' }, String(statusUrl));
  }
});

test('a port that is to be found is found before anything is issued, and nobody else gets it meanwhile', async () => {
  const { listen } = parseConfig({ ...LEAST, listen: { plain: '127.0.0.1:0' } });
  const settled = await settlePlain(listen);
  const { port } = splitAddress(settled.listen.plain);
  assert.ok(port > 0);
  assert.deepEqual({ ...settled.listen, plain: listen.plain }, listen);
  assert.equal((await settlePlain(settled.listen)).listen, settled.listen);
  const take = (reusePort: boolean): Promise<Server | string | undefined> =>
    new Promise((resolve) => {
      const server = createServer();
      server.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code));
      server.listen({ host: '127.0.0.1', port, reusePort, exclusive: true }, () => resolve(server));
    });
  assert.equal(await take(false), 'EADDRINUSE');
  // As the server's own threads do.
  const own = (await take(true)) as Server;
  settled.release!();
  assert.ok(own.listening);
  own.close();
});
