import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo, LookupFunction } from 'node:net';
import { test } from 'node:test';
import { isWritError } from '../base/error.ts';
import { type OutboundAnswer, type OutboundOptions, outbound } from './outbound.ts';

const LOOPBACK: OutboundOptions = { allowHttp: true, allowNetworks: ['127.0.0.0/8'], timeout: 300, largest: 1000 };

async function ask(
  listener: RequestListener,
  options: OutboundOptions = LOOPBACK,
  host = '127.0.0.1',
  path = '/',
): Promise<OutboundAnswer> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  try {
    return await outbound(options, 'test')(`http://${host}:${port}${path}`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test('an answer comes back with its status, whatever that is', async () => {
  const answer = await ask((_, response) => response.writeHead(404).end('{}'));
  assert.deepEqual(answer, { reached: true, status: 404, body: Buffer.from('{}') });
});

test('how long an answer may be kept is told', async () => {
  const kept = async (header: string): Promise<number | undefined> => {
    const answer = await ask((_, response) => response.writeHead(200, { 'Cache-Control': header }).end());
    return answer.reached ? answer.maxAge : undefined;
  };
  assert.equal(await kept('public, max-age=900, must-revalidate'), 900);
  assert.equal(await kept('no-store, max-age=900'), 0);
  assert.equal(await kept('private'), undefined);
  assert.equal(await kept('max-age=x'), undefined);
});

test('a redirect is an answer, and nobody is asked in its place', async () => {
  let asked = 0;
  const answer = await ask((_, response) => {
    asked += 1;
    response.writeHead(302, { Location: '/elsewhere' }).end();
  });
  assert.equal(answer.reached && answer.status, 302);
  assert.equal(asked, 1);
});

test('an answer that is too large, slow or broken off is none', async () => {
  assert.deepEqual(await ask((_, response) => response.end('x'.repeat(1001))), {
    reached: false,
    fault: 'large',
    status: 200,
  });
  assert.deepEqual(await ask(() => {}), { reached: false, fault: 'silent' });
  assert.deepEqual(
    await ask((_, response) => {
      response.writeHead(200, { 'Content-Length': 10 }).write('12345');
      setTimeout(() => response.destroy(), 20);
    }),
    { reached: false, fault: 'broken', code: 'ECONNRESET' },
  );
  const trickle = await ask((_, response) => {
    response.writeHead(200);
    const timer = setInterval(() => response.write('x'), 50);
    response.on('close', () => clearInterval(timer));
  });
  assert.deepEqual(trickle, { reached: false, fault: 'silent' });
});

test('no request goes to an address that is not allowed, by number or by name', async () => {
  let asked = 0;
  const count: RequestListener = (_, response) => {
    asked += 1;
    response.end();
  };
  const strict = { ...LOOPBACK, allowNetworks: [] };
  assert.deepEqual(await ask(count, strict), { reached: false, fault: 'url' });
  assert.deepEqual(await ask(count, { ...LOOPBACK, allowHttp: false }), { reached: false, fault: 'url' });
  assert.deepEqual(await ask(count, strict, 'localhost'), { reached: false, fault: 'broken', code: 'EACCES' });
  const resolve: LookupFunction = (_, options, callback) =>
    options.all === true
      ? callback(null, [
          { address: '8.8.8.8', family: 4 },
          { address: '127.0.0.1', family: 4 },
        ])
      : callback(null, '127.0.0.1', 4);
  assert.deepEqual(await ask(count, { ...strict, resolve }, 'issuer.example.com'), {
    reached: false,
    fault: 'broken',
    code: 'EACCES',
  });
  assert.equal(asked, 0);
});

test('a network that is none is refused', () => {
  assert.throws(
    () => outbound({ allowHttp: false, allowNetworks: ['10.0.0.0'] }, 'attestation.allowNetworks'),
    (error) => isWritError(error, 'bad_config') && error.field === 'attestation.allowNetworks',
  );
});
