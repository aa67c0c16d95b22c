import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { isWritError } from '../../base/error.ts';
import { issuer } from './testdata/identities.ts';

const { identity } = issuer();
const planner = identity('agent/planner/1');
const service = identity('service/db/1');
const servers: Server[] = [];
after(() => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

async function serve(
  handle: (asked: IncomingMessage, answer: ServerResponse) => void | Promise<void>,
): Promise<string> {
  const server = createServer(service.serverOptions(), (asked, answer) => void handle(asked, answer));
  servers.push(server);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function bodyOf(asked: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of asked) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

const clientSerial = (asked: IncomingMessage): string =>
  (asked.socket as TLSSocket).getPeerX509Certificate()!.serialNumber;

const allow = 'service/db/*';

test('sends method, headers and bodies of every kind, and gives answers as fetch does', async () => {
  const url = await serve(async (asked, answer) => {
    const body = await bodyOf(asked);
    answer.writeHead(
      201,
      'Made',
      [
        ['X-Twice', 'a'],
        ['X-Twice', 'b'],
        ['Content-Type', 'application/json'],
      ].flat(),
    );
    answer.end(
      JSON.stringify({ method: asked.method, type: asked.headers['content-type'], body: body.toString('hex') }),
    );
  });
  const fetch = planner.fetch({ allow });
  const ask = async (body: unknown, headers: Record<string, string> = {}) => {
    const init = { method: 'POST', body, headers, duplex: 'half' } as RequestInit;
    const answer = await fetch(`${url}/path?query`, init);
    assert.deepEqual([answer.status, answer.statusText, answer.ok], [201, 'Made', true]);
    assert.equal(answer.headers.get('x-twice'), 'a, b');
    assert.equal(answer.url, `${url}/path?query`);
    return (await answer.json()) as { method: string; type?: string; body: string };
  };
  const hex = Buffer.from('häh').toString('hex');
  assert.deepEqual(await ask('häh'), { method: 'POST', type: 'text/plain;charset=UTF-8', body: hex });
  assert.equal((await ask(Buffer.from('häh'))).body, hex);
  assert.equal((await ask(new Blob(['häh']))).body, hex);
  assert.equal((await ask(new Response('häh').body)).body, hex);
  assert.match((await ask(new URLSearchParams({ a: 'b c' }))).type!, /^application\/x-www-form-urlencoded/);
  assert.equal((await ask('{}', { 'Content-Type': 'application/json' })).type, 'application/json');
  assert.equal((await ask(undefined)).body, '');
  assert.equal((await ask('x'.repeat(300_000))).body.length, 600_000);
});

test('answers without a body, odd ones, and redirects, which are not followed', async () => {
  const url = await serve((asked, answer) => {
    if (asked.url === '/redirect') answer.writeHead(302, { Location: '/elsewhere' }).end();
    else if (asked.url === '/odd') answer.socket!.end('HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n');
    else if (asked.url === '/head') answer.writeHead(200, { 'Content-Length': '5' }).end('hello');
    else answer.writeHead(204).end();
  });
  const fetch = planner.fetch({ allow });
  const none = await fetch(url);
  assert.deepEqual([none.status, none.body], [204, null]);
  const head = await fetch(`${url}/head`, { method: 'HEAD' });
  assert.deepEqual([head.headers.get('content-length'), await head.text()], ['5', '']);
  const redirect = await fetch(`${url}/redirect`);
  assert.deepEqual([redirect.status, redirect.headers.get('location')], [302, '/elsewhere']);
  await assert.rejects(fetch(`${url}/odd`), RangeError);
});

test('accepts by rule or by host name, over https alone', async () => {
  const url = await serve((_, answer) => void answer.end('yes'));
  assert.equal(await (await planner.fetch()(url)).text(), 'yes');
  await assert.rejects(planner.fetch({ allow: 'service/other/*' })(url), (error) => isWritError(error, 'denied'));
  assert.throws(
    () => planner.fetch({ allow: 'service/db' }),
    (error) => isWritError(error, 'bad_spiffe_id'),
  );
  await assert.rejects(planner.fetch({ allow })(url.replace('https', 'http')), (error) =>
    isWritError(error, 'bad_request'),
  );
});

test('keeps its connections, and none across rules or a renewal', async () => {
  const seen: string[] = [];
  const url = await serve((asked, answer) => {
    seen.push(`${asked.socket.remotePort} ${clientSerial(asked)}`);
    answer.end();
  });
  const own = identity('agent/planner/2');
  const [one, other] = [own.fetch({ allow }), own.fetch({ allow: () => true })];
  const ask = async (fetch: typeof one): Promise<string> => {
    await (await fetch(url)).text();
    return seen.at(-1)!;
  };
  const first = await ask(one);
  assert.equal(await ask(one), first);
  assert.notEqual(await ask(other), first);
  await own.renew();
  const renewed = await ask(one);
  assert.notEqual(renewed.split(' ')[1], first.split(' ')[1]);
  assert.equal(await ask(one), renewed);
});

test('calls under way finish on the old certificate', async () => {
  let go = (): void => {};
  const asked = new Promise<void>((resolve) => {
    go = resolve;
  });
  let finish: ServerResponse | undefined;
  const url = await serve((question, answer) => {
    if (question.url === '/slow') {
      finish = answer;
      answer.write('begun ');
      go();
    } else answer.end('quick');
  });
  const own = identity('agent/planner/3');
  const fetch = own.fetch({ allow });
  const slow = fetch(`${url}/slow`);
  await asked;
  await own.renew();
  assert.equal(await (await fetch(url)).text(), 'quick');
  finish!.end('and done');
  assert.equal(await (await slow).text(), 'begun and done');
});

test('an abort ends the call with its reason: before, while waiting, while reading', async () => {
  let answers = 0;
  const url = await serve((_, answer) => {
    answers += 1;
    if (answers === 2) answer.write('begun');
  });
  const fetch = planner.fetch({ allow });
  const reason = new Error('enough');
  await assert.rejects(fetch(url, { signal: AbortSignal.abort(reason) }), reason);
  assert.equal(answers, 0);
  const waiting = new AbortController();
  setTimeout(() => waiting.abort(reason), 30);
  await assert.rejects(fetch(url, { signal: waiting.signal }), reason);
  const reading = new AbortController();
  const answer = await fetch(url, { signal: reading.signal });
  setTimeout(() => reading.abort(reason), 30);
  await assert.rejects(answer.text());
  await assert.rejects(fetch(url, { signal: AbortSignal.timeout(20) }), { name: 'TimeoutError' });
});

test('a kept connection that the server has closed is replaced, unless the call must not be repeated', async () => {
  const sockets: TLSSocket[] = [];
  const url = await serve((asked, answer) => {
    sockets.push(asked.socket as TLSSocket);
    if (asked.url === '/die') asked.socket.destroy();
    else answer.end('alive');
  });
  const fetch = planner.fetch({ allow });
  await (await fetch(url)).text();
  const again = fetch(`${url}/die`, { method: 'POST' });
  await assert.rejects(again);
  const asked = sockets.length;
  await (await fetch(url)).text();
  // A GET on a kept connection is sent once more, on a new one, which dies as well.
  await assert.rejects(fetch(`${url}/die`));
  assert.equal(sockets.length, asked + 3);
  assert.equal(await (await fetch(url)).text(), 'alive');
});
