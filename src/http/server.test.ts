import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent } from 'node:https';
import { after, before, describe, test } from 'node:test';
import { connect } from 'node:tls';
import type { Caller } from '../base/access.ts';
import { WritError } from '../base/error.ts';
import { Superseded } from './client-cert.ts';
import type { Route } from './route.ts';
import { ask, askRaw } from './testdata/ask.ts';
import { type Listener, listener } from './testdata/listener.ts';

const routes: Route[] = [
  {
    method: 'GET',
    path: '/things/{name}',
    access: 'public',
    handle: ({ params, query }) => ({ status: 200, body: JSON.stringify({ name: params[0], query }) }),
  },
  {
    method: 'POST',
    path: '/things',
    access: 'public',
    bodyLimit: 100,
    handle: async ({ body }) => ({ status: 201, body: `${body.length}` }),
  },
  { method: 'GET', path: '/fixed', access: 'public', handle: () => ({ status: 200, body: 'same', etag: '"1"' }) },
  { method: 'GET', path: '/private', access: 'caller', handle: () => ({ status: 200, body: 'secret' }) },
  {
    method: 'GET',
    path: '/broken',
    access: 'public',
    handle: () => {
      throw new TypeError('a defect');
    },
  },
];

describe('a listener', () => {
  let at: Listener;
  before(async () => {
    at = await listener(routes, { limits: { headersTimeout: 150, requestTimeout: 300, checkInterval: 50 } });
  });
  after(() => at[Symbol.asyncDispose]());
  const get = (path: string, method = 'GET') => ask({ port: at.port, ca: at.ca, path, method });

  test('answers a route with parameters and query', async () => {
    const answer = await get('/things/a?b=c');
    assert.equal(answer.status, 200);
    assert.deepEqual(JSON.parse(answer.text), { name: 'a', query: 'b=c' });
    assert.equal(answer.headers['content-type'], 'application/json');
    assert.equal(answer.headers['cache-control'], 'no-store');
    assert.equal(answer.headers['x-content-type-options'], 'nosniff');
  });

  test('gives each answer a request id of its own', async () => {
    const ids = [await get('/fixed'), await get('/nowhere')].map((answer) => answer.headers['x-request-id']);
    assert.ok(ids[0] && ids[1] && ids[0] !== ids[1]);
  });

  test('answers HEAD with the headers of GET and no body', async () => {
    const answer = await get('/fixed', 'HEAD');
    assert.deepEqual([answer.status, answer.headers['content-length'], answer.text], [200, '4', '']);
  });

  test('answers 304 to who has it already', async () => {
    const answer = await ask({ port: at.port, ca: at.ca, path: '/fixed', headers: { 'If-None-Match': 'W/"0", "1"' } });
    assert.deepEqual([answer.status, answer.text], [304, '']);
  });

  test('knows no other path and no other method', async () => {
    assert.match((await get('/nowhere')).text, /^not_found /);
    const wrong = await get('/things/a', 'DELETE');
    assert.match(wrong.text, /^method_not_allowed /);
    assert.equal(wrong.headers.allow, 'GET, HEAD');
    assert.equal((await get('/things', 'OPTIONS')).headers.allow, 'POST');
  });

  test('refuses private routes where clients have no certificates', async () => {
    assert.match((await get('/private')).text, /^not_authenticated /);
  });

  test('survives a handler that throws', async () => {
    assert.match((await get('/broken')).text, /^internal TypeError/);
    assert.equal((await get('/fixed')).status, 200);
  });

  const post = (body: string, headers: Record<string, string> = {}) =>
    ask({ port: at.port, ca: at.ca, path: '/things', method: 'POST', body, headers });

  test('takes a body up to its limit', async () => {
    assert.equal((await post('x'.repeat(100))).text, '100');
    assert.equal((await post('x'.repeat(100), { 'Transfer-Encoding': 'chunked' })).text, '100');
    assert.equal((await post('')).text, '0');
    for (const headers of [{}, { 'Transfer-Encoding': 'chunked' }]) {
      assert.match((await post('x'.repeat(101), headers)).text, /^too_large /);
    }
  });

  test('refuses a body that is announced too large without waiting for it', async () => {
    const text = await askRaw(at.port, at.ca, [
      'POST /things HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\nx',
    ]);
    assert.match(text, /too_large/);
    assert.match(text, /Connection: close/i);
  });

  test('refuses a compressed body, and a body where none belongs', async () => {
    assert.match((await post('x', { 'Content-Encoding': 'gzip' })).text, /^unsupported_media_type /);
    const answer = await ask({
      port: at.port,
      ca: at.ca,
      path: '/fixed',
      body: 'x',
      headers: { 'Content-Length': '1' },
    });
    assert.match(answer.text, /^bad_request /);
  });

  const raw: [string, readonly string[], RegExp][] = [
    [
      'a long target',
      [`GET /${'a'.repeat(5000)} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`],
      /^HTTP\/1.1 414 .*too_large/s,
    ],
    [
      'huge headers',
      [`GET /fixed HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`],
      /^HTTP\/1.1 431 .*too_large/s,
    ],
    ['no HTTP at all', ['\x16\x03\x01\x00\r\n\r\n'], /^HTTP\/1.1 400 .*bad_request/s],
    ['no Host', ['GET /fixed HTTP/1.1\r\n\r\n'], /^HTTP\/1.1 400 /],
    [
      'both lengths, the start of request smuggling',
      ['POST /things HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
      /^HTTP\/1.1 400 .*bad_request/s,
    ],
    ['headers that never end', ['GET /fixed HTTP/1.1\r\nHost: a\r\n'], /^HTTP\/1.1 408 .*request_timeout/s],
    ['silence', [''], /^(HTTP\/1.1 408 .*)?$/s],
    [
      'a body that never ends',
      ['POST /things HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc'],
      /^HTTP\/1.1 408 .*request_timeout/s,
    ],
  ];
  for (const [name, pieces, want] of raw) {
    test(`answers ${name}`, async () => assert.match(await askRaw(at.port, at.ca, pieces), want));
  }

  test('a body that trickles in is cut off at the time limit, not at each pause', async () => {
    const pieces = ['POST /things HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n', ...'x'.repeat(30)];
    const started = performance.now();
    assert.match(await askRaw(at.port, at.ca, pieces, 40), /^HTTP\/1.1 408 /);
    assert.ok(performance.now() - started < 900);
  });

  test('refuses a body in crumbs, each of which costs more than it brings', async () => {
    await using wide = await listener([{ ...routes[1]!, bodyLimit: 65_536 }]);
    const head = 'POST /things HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n';
    const crumbs = await askRaw(wide.port, wide.ca, [`${head}${'1\r\nx\r\n'.repeat(5000)}0\r\n\r\n`]);
    assert.match(crumbs, /^HTTP\/1.1 \d+ .*bad_request/s);
    const pieces = await askRaw(wide.port, wide.ca, [`${head}${`40\r\n${'x'.repeat(64)}\r\n`.repeat(1024)}0\r\n\r\n`]);
    assert.match(pieces, /^HTTP\/1.1 201 .*65536$/s);
  });

  test('answers pipelined requests in order', async () => {
    const one = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nHost: a\r\n${more}\r\n`;
    const text = await askRaw(at.port, at.ca, [
      one('/things/1') + one('/things/2') + one('/things/3', 'Connection: close\r\n'),
    ]);
    assert.deepEqual(
      [...text.matchAll(/"name":"(\d)"/g)].map((match) => match[1]),
      ['1', '2', '3'],
    );
  });
});

test('holds each address to its rate', async () => {
  await using at = await listener(routes, { limits: { address: { perSecond: 1, burst: 3 } } });
  const answers = [];
  for (let i = 0; i < 4; i++) answers.push(await ask({ port: at.port, ca: at.ca, path: '/fixed' }));
  assert.deepEqual(
    answers.map((answer) => answer.text.split(' ')[0]),
    ['same', 'same', 'same', 'rate_limited'],
  );
  assert.equal(answers[3]!.headers['retry-after'], '1');
});

test('holds what one instance may change to its rate, and no operator', async () => {
  const id = 'spiffe://agents.example.com';
  const looping: Caller = { kind: 'agent', id: `${id}/agent/a/1`, agent: 'a', instance: '1' };
  const like: Caller = { kind: 'agent', id: `${id}/agent/a/2`, agent: 'a', instance: '2' };
  const ada: Caller = { kind: 'operator', id: `${id}/operator/ada`, operator: 'ada' };
  const known = new Map<string, Caller>();
  const clients = {
    identify: ({ chain }: { readonly chain: readonly Uint8Array[] }) => {
      const caller = known.get(Buffer.from(chain[0]!).toString('hex'))!;
      return { caller, notBefore: 0, notAfter: Number.MAX_SAFE_INTEGER };
    },
    standing: () => undefined,
  };
  const change: Route = {
    method: 'POST',
    path: '/change',
    access: 'caller',
    handle: () => ({ status: 200, body: 'done' }),
  };
  await using at = await listener([...routes, change], { clients, limits: { writes: { perSecond: 0.1, burst: 2 } } });
  const as = (caller: Caller) => {
    const { keyPem, pem, der } = at.issuing.leaf({ uri: caller.id });
    known.set(Buffer.from(der).toString('hex'), caller);
    return (method: string, path: string) => ask({ port: at.port, ca: at.ca, path, method, client: { keyPem, pem } });
  };
  const [first, again, other, operator] = [as(looping), as(looping), as(like), as(ada)];
  const answers = [await first('POST', '/change'), await again('POST', '/change'), await first('POST', '/change')];
  assert.deepEqual(
    answers.map(({ text }) => text.split(' ')[0]),
    ['done', 'done', 'rate_limited'],
  );
  assert.equal(answers[2]!.headers['retry-after'], '10');
  assert.match((await again('POST', '/change')).text, /^rate_limited /, 'another certificate of it is no way around');
  assert.equal((await first('GET', '/private')).text, 'secret');
  assert.equal((await other('POST', '/change')).text, 'done');
  for (let i = 0; i < 4; i++) assert.equal((await operator('POST', '/change')).text, 'done');
});

test('of a node, what it asks for its workloads has a limit of its own', async () => {
  const callers = new Map<string, Caller>();
  const service = (name: string): Caller => {
    const id = `spiffe://agents.example.com/service/${name}/1`;
    return { kind: 'service', id, agent: name, instance: '1' };
  };
  const clients = {
    identify: ({ chain }: { readonly chain: readonly Uint8Array[] }) => {
      const caller = callers.get(Buffer.from(chain[0]!).toString('hex'))!;
      return { caller, notBefore: 0, notAfter: Number.MAX_SAFE_INTEGER };
    },
    standing: () => undefined,
    isNode: async ({ agent }: Caller) => agent !== 'plain',
  };
  const change = (path: string, byNodes: boolean): Route => ({
    ...{ method: 'POST', path, access: 'caller', byNodes },
    handle: () => ({ status: 200, body: 'done' }),
  });
  const limits = { writes: { perSecond: 0.1, burst: 1 }, nodes: { perSecond: 0.2, burst: 3 } };
  const many: Route = {
    ...{ method: 'POST', path: '/many', access: 'caller', byNodes: true },
    handle: ({ charge }) => {
      charge!(3);
      return { status: 200, body: 'done' };
    },
  };
  const changes = [change('/workload', true), change('/other', false), many];
  await using at = await listener([...routes, ...changes], { clients, limits });
  const as = (caller: Caller) => {
    const { keyPem, pem, der } = at.issuing.leaf({ uri: caller.id });
    callers.set(Buffer.from(der).toString('hex'), caller);
    return (path: string) => ask({ port: at.port, ca: at.ca, path, method: 'POST', client: { keyPem, pem } });
  };
  const [box, plain] = [as(service('box')), as(service('plain'))];
  for (let n = 0; n < 3; n++) assert.equal((await box('/workload')).text, 'done');
  const late = await box('/workload');
  assert.match(late.text, /^rate_limited /);
  assert.equal(late.headers['retry-after'], '5');
  assert.equal((await box('/other')).text, 'done', 'its own requests are counted apart');
  assert.equal((await box('/other')).headers['retry-after'], '10');
  assert.equal((await plain('/workload')).text, 'done');
  assert.equal((await plain('/workload')).headers['retry-after'], '10', 'who is no node has no such limit');
  const rack = as(service('rack'));
  assert.equal((await rack('/many')).text, 'done', 'on credit');
  assert.equal((await rack('/workload')).headers['retry-after'], '10');
  assert.equal((await rack('/other')).text, 'done');
});

test('whoever stole a certificate that was replaced takes nothing from its holder', async () => {
  const id = 'spiffe://agents.example.com/agent/a/1';
  const caller: Caller = { kind: 'agent', id, agent: 'a', instance: '1' };
  let replaced = '';
  const clients = {
    identify: ({ chain }: { readonly chain: readonly Uint8Array[] }) => {
      const serial = chain[0]!;
      return { caller: { ...caller, serial }, notBefore: 0, notAfter: Number.MAX_SAFE_INTEGER };
    },
    standing: ({ serial }: Caller) =>
      Buffer.from(serial!).toString('hex') === replaced
        ? new Superseded('It was replaced.', 'Use the other.')
        : undefined,
  };
  const replace: Route = {
    method: 'POST',
    path: '/replace',
    access: 'caller',
    repeats: true,
    handle: ({ caller }) => ({ status: 200, body: caller.superseded === true ? 'again' : 'done' }),
  };
  const limits = { writes: { perSecond: 0.1, burst: 2 }, inWorkPerCaller: 2 };
  await using at = await listener([...routes, replace], { clients, limits });
  const certificate = () => {
    const { keyPem, pem, der } = at.issuing.leaf({ uri: id });
    return { keyPem, pem, hex: Buffer.from(der).toString('hex') };
  };
  const [stolen, held] = [certificate(), certificate()];
  replaced = stolen.hex;
  const headers = { 'idempotency-key': 'a key that is long enough' };
  const ask1 = (client: typeof held) =>
    ask({ port: at.port, ca: at.ca, path: '/replace', method: 'POST', client, headers }).then(({ text }) => text);

  // Two that never end their bodies.
  const dawdlers = [1, 2].map(() => {
    const { keyPem: key, pem: cert } = stolen;
    return connect({ host: '127.0.0.1', port: at.port, ca: at.ca, key, cert: cert + at.issuing.pem });
  });
  for (const socket of dawdlers) {
    socket.write('POST /replace HTTP/1.1\r\nHost: a\r\nIdempotency-Key: a key that is long enough\r\n');
    socket.write('Content-Length: 9\r\n\r\n');
  }
  while (at.server.inWork() < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(await ask1(held), 'done', 'not by what it holds in work, nor by its rate');
  for (const socket of dawdlers) socket.destroy();
  while (at.server.inWork() > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.match(await ask1(stolen), /^rate_limited /);
  assert.equal(await ask1(held), 'done');
});

test('holds a caller to its requests in work, and gives room again', async () => {
  let release = (): void => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  let inside = 0;
  const slow: Route = {
    method: 'GET',
    path: '/slow',
    access: 'public',
    async handle() {
      inside += 1;
      await held;
      return { status: 200, body: 'done' };
    },
  };
  await using at = await listener([slow], { limits: { inWorkPerCaller: 2 } });
  const first = [1, 2].map(() => ask({ port: at.port, ca: at.ca, path: '/slow' }));
  while (inside < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  const third = await ask({ port: at.port, ca: at.ca, path: '/slow' });
  assert.match(third.text, /^rate_limited /);
  assert.ok(Number(third.headers['retry-after']) >= 1);
  release();
  assert.deepEqual(
    (await Promise.all(first)).map((answer) => answer.text),
    ['done', 'done'],
  );
  assert.equal((await ask({ port: at.port, ca: at.ca, path: '/slow' })).text, 'done');
  assert.equal(at.server.inWork(), 0);
});

test('one address has only so many connections', async () => {
  await using at = await listener(routes, { limits: { connectionsPerAddress: 2 } });
  const open = async () => {
    const socket = connect({ host: '127.0.0.1', port: at.port, ca: at.ca });
    await once(socket, 'secureConnect');
    return socket;
  };
  const [first, second] = [await open(), await open()];
  await assert.rejects(open());
  first.destroy();
  while ((await at.server.connections()) > 1) await new Promise((resolve) => setTimeout(resolve, 5));
  const third = await open();
  for (const socket of [second, third]) socket.destroy();
});

test('strangers who dawdle take no room from callers', async () => {
  const caller: Caller = { kind: 'operator', id: 'spiffe://agents.example.com/operator/ada', operator: 'ada' };
  const clients = {
    identify: () => ({ caller, notBefore: 0, notAfter: Number.MAX_SAFE_INTEGER }),
    standing: () => undefined,
  };
  await using at = await listener(routes, { clients, limits: { inWork: 3, inWorkStrangers: 3 } });
  const dawdlers = Array.from({ length: 3 }, () => connect({ host: '127.0.0.1', port: at.port, ca: at.ca }));
  for (const socket of dawdlers) socket.write('POST /things HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n');
  while (at.server.inWork() < 3) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.match((await ask({ port: at.port, ca: at.ca, path: '/fixed' })).text, /^unavailable /);
  const leaf = at.issuing.leaf({ uri: caller.id });
  const client = { keyPem: leaf.keyPem, pem: leaf.pem };
  assert.equal((await ask({ port: at.port, ca: at.ca, path: '/private', client })).text, 'secret');
  for (const socket of dawdlers) socket.destroy();
});

test('a stopping server answers what it has begun and nothing else', async () => {
  let release = (): void => {};
  let inside = false;
  const slow: Route = {
    method: 'GET',
    path: '/slow',
    access: 'public',
    handle: () =>
      new Promise((resolve) => {
        inside = true;
        release = () => resolve({ status: 200, body: 'done' });
      }),
  };
  const at = await listener([slow]);
  const agent = new Agent({ keepAlive: true });
  const begun = ask({ port: at.port, ca: at.ca, path: '/slow', agent });
  while (!inside) await new Promise((resolve) => setTimeout(resolve, 5));
  const closed = at.server.close(5000);
  await assert.rejects(ask({ port: at.port, ca: at.ca, path: '/slow' }), { code: 'ECONNREFUSED' });
  release();
  const answer = await begun;
  assert.deepEqual([answer.text, answer.headers.connection], ['done', 'close']);
  await closed;
  agent.destroy();
});

test('a request that is on its way when the server stops is answered', async () => {
  const at = await listener(routes);
  const agent = new Agent({ keepAlive: true });
  assert.equal((await ask({ port: at.port, ca: at.ca, path: '/fixed', agent })).status, 200);
  const closed = at.server.close(5000);
  const late = await ask({ port: at.port, ca: at.ca, path: '/fixed', agent });
  assert.deepEqual([late.status, late.headers.connection], [200, 'close']);
  await closed;
  agent.destroy();
});

test('what hangs is cut off when the grace is over', async () => {
  const at = await listener([
    { method: 'GET', path: '/slow', access: 'public', handle: () => new Promise<never>(() => {}) },
  ]);
  const begun = assert.rejects(ask({ port: at.port, ca: at.ca, path: '/slow' }));
  while (at.server.inWork() === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  await at.server.close(50);
  await begun;
});

test('who does not read its answer is cut off', async () => {
  const large: Route = {
    method: 'GET',
    path: '/large',
    access: 'public',
    handle: () => ({ status: 200, body: 'x'.repeat(30_000_000) }),
  };
  await using at = await listener([large], { limits: { stallTimeout: 150 } });
  const socket = connect({ host: '127.0.0.1', port: at.port, ca: at.ca });
  await once(socket, 'secureConnect');
  socket.write('GET /large HTTP/1.1\r\nHost: a\r\n\r\n');
  const started = performance.now();
  while ((await at.server.connections()) > 0 && performance.now() - started < 2000) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.equal(await at.server.connections(), 0);
  socket.destroy();
});

test('says which address is taken', async () => {
  await using first = await listener(routes);
  await using second = await listener(routes);
  await second.server.close(0);
  await assert.rejects(
    second.server.listen({ host: '127.0.0.1', port: first.port }),
    (error) => error instanceof WritError && error.code === 'bad_config' && error.message.includes(`${first.port}`),
  );
});
