import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { test } from 'node:test';
import { isWritError, WritError } from '../base/error.ts';
import { Client, type ClientOptions } from './client.ts';
import type { Exchange, Reply, Route } from './route.ts';
import { testAuthority } from './testdata/authority.ts';
import { type Listener, listener } from './testdata/listener.ts';

function route(method: Route['method'], path: string, handle: Route['handle']): Route {
  return { method, path, access: 'public', handle };
}

function clientOf(at: Listener, change: Partial<ClientOptions> = {}): Client {
  return new Client({ server: `https://127.0.0.1:${at.port}`, roots: [at.ca], ...change });
}

test('sends JSON, query and one idempotency key for all attempts; tries again what passes', async () => {
  const seen: Exchange[] = [];
  const answers: Reply[] = [
    { status: 503, body: '{"code":"unavailable"}', headers: ['Retry-After', '0'] },
    { status: 429, body: '', headers: ['Retry-After', '0'] },
    { status: 201, body: '{"made":true}' },
  ];
  await using at = await listener([
    route('POST', '/things', (exchange) => {
      seen.push(exchange);
      return answers[seen.length - 1]!;
    }),
  ]);
  const client = clientOf(at);
  const made = await client.json({
    method: 'POST',
    path: '/things',
    query: { a: 'b&c', d: undefined },
    body: { x: 1 },
  });
  assert.deepEqual(made, { made: true });
  assert.equal(seen.length, 3);
  assert.equal(new Set(seen.map((one) => one.headers['idempotency-key'])).size, 1);
  assert.deepEqual([seen[0]!.query, Buffer.from(seen[0]!.body).toString()], ['a=b%26c', '{"x":1}']);
  assert.equal(seen[0]!.headers['content-type'], 'application/json');
  client.close();
});

test('turns a problem document into its error and does not try again', async () => {
  let asked = 0;
  const problem = {
    code: 'denied',
    detail: 'No.',
    field: '/a',
    remedy: 'Ask.',
    reasons: ['because'],
    request_id: 'r-1',
  };
  await using at = await listener([
    route('POST', '/things', () => {
      asked += 1;
      return { status: 403, body: JSON.stringify(problem) };
    }),
    route('GET', '/other', () => ({ status: 418, body: 'teapot' })),
  ]);
  const client = clientOf(at);
  await assert.rejects(client.json({ method: 'POST', path: '/things', body: {} }), (error) => {
    assert.ok(isWritError(error, 'denied'));
    assert.deepEqual([error.message, error.field, error.remedy, error.reasons], ['No.', '/a', 'Ask.', ['because']]);
    return true;
  });
  assert.equal(asked, 1);
  await assert.rejects(client.json({ path: '/other' }), (error) => isWritError(error, 'internal'));
  client.close();
});

test('gives up after its attempts, or at once when asked to wait too long', async () => {
  let asked = 0;
  const busy = (wait: string) => () => {
    asked += 1;
    return { status: 503, body: '{"code":"unavailable"}', headers: ['Retry-After', wait] };
  };
  await using at = await listener([route('GET', '/busy', busy('0')), route('GET', '/away', busy('3600'))]);
  const client = clientOf(at, { attempts: 2 });
  await assert.rejects(client.json({ path: '/busy' }), (error) => isWritError(error, 'unavailable'));
  assert.equal(asked, 2);
  await assert.rejects(client.json({ path: '/away' }), (error) => isWritError(error, 'unavailable'));
  assert.equal(asked, 3);
  client.close();
});

test('does not come back before the server said, and says when that is where it does not come back at all', async () => {
  const at: number[] = [];
  await using door = await listener([
    route('POST', '/things', () => {
      at.push(performance.now());
      if (at.length > 1) return { status: 200, body: '{}' };
      return { status: 429, body: '{"code":"rate_limited"}', headers: ['Retry-After', '1'] };
    }),
    route('POST', '/later', () => ({ status: 429, body: '{"code":"rate_limited"}', headers: ['Retry-After', '7'] })),
  ]);
  const [patient, hasty] = [clientOf(door), clientOf(door, { attempts: 1 })];
  await patient.json({ method: 'POST', path: '/things' });
  assert.ok(at[1]! - at[0]! >= 995, `${at[1]! - at[0]!} ms`);
  await assert.rejects(
    hasty.json({ method: 'POST', path: '/later' }),
    (error) => isWritError(error, 'rate_limited') && error.retryAfter === 7000,
  );
  patient.close();
  hasty.close();
});

test('a server that is not there, or silent, is unavailable', async () => {
  const at = await listener([route('GET', '/silent', () => new Promise<never>(() => {}))]);
  const hasty = clientOf(at, { timeout: 60, attempts: 1 });
  await assert.rejects(
    hasty.json({ path: '/silent' }),
    (error) => isWritError(error, 'unavailable') && /in time/.test(error.message),
  );
  await at.server.close(0);
  await assert.rejects(
    hasty.json({ path: '/silent' }),
    (error) => isWritError(error, 'unavailable') && /not there/.test(error.message),
  );
  hasty.close();
});

for (const [what, server, answer, says, next] of [
  ['no such host', 'https://no-such-host.invalid', '', /there is no host of that name\.$/, /^Check the name/],
  ['plain HTTP', undefined, 'HTTP/1.1 400 Bad Request\r\n\r\n', /does not speak TLS on that port\.$/, /8443/],
  ['another protocol', undefined, 'SSH-2.0-OpenSSH_9.2\r\n', /does not speak TLS on that port\.$/, /8443/],
  ['a server that hangs up', undefined, '', /broke the connection\.$/, /^Check that the address is that of a Writ/],
] as const) {
  test(`says what is wrong with an address: ${what}`, async () => {
    const other = createServer((socket) => socket.on('error', () => {}).once('data', () => socket.end(answer)));
    await once(other.listen(0, '127.0.0.1'), 'listening');
    const { port } = other.address() as AddressInfo;
    const client = new Client({ server: server ?? `https://127.0.0.1:${port}`, roots: [], attempts: 1 });
    await assert.rejects(client.json({ path: '/' }), (error) => {
      assert.ok(isWritError(error, 'unavailable'), String(error));
      assert.match(error.message, says);
      assert.match(error.remedy!, next);
      return true;
    });
    client.close();
    other.close();
  });
}

test('a caller can stop waiting', async () => {
  await using at = await listener([route('GET', '/silent', () => new Promise<never>(() => {}))]);
  const client = clientOf(at);
  const stop = new AbortController();
  const asked = client.json({ path: '/silent', signal: stop.signal });
  setTimeout(() => stop.abort(new Error('enough')), 20);
  await assert.rejects(asked, /enough/);
  client.close();
});

test('trusts the root it was given, and the server that the check accepts, and no other', async () => {
  await using at = await listener([route('GET', '/open', () => ({ status: 200, body: '1' }))]);
  const stranger = clientOf(at, { roots: [testAuthority().pem] });
  await assert.rejects(
    stranger.json({ path: '/open' }),
    (error) => isWritError(error, 'bad_certificate') && /of another authority than/.test(error.message),
  );
  const picky = clientOf(at, { checkServer: () => new WritError('denied', 'not this one') });
  await assert.rejects(picky.json({ path: '/open' }), (error) => isWritError(error, 'denied'));
  const other = clientOf(at, { server: `https://localhost.localdomain:${at.port}`, attempts: 1 });
  await assert.rejects(other.json({ path: '/open' }), WritError);
  for (const client of [stranger, picky, other]) client.close();
});

test('shows a credential, and the new one after a change', async () => {
  const identify = ({ chain }: { chain: readonly Uint8Array[] }) => ({
    caller: { kind: 'agent', id: hash('sha256', chain[0]!) } as const,
    notBefore: 0,
    notAfter: Number.MAX_SAFE_INTEGER,
  });
  const who: Route = {
    ...route('GET', '/who', ({ caller }) => ({ status: 200, body: JSON.stringify(caller.id) })),
    access: 'caller',
  };
  await using at = await listener([who], { clients: { identify, standing: () => undefined } });
  const leaves = [1, 2].map((n) => at.issuing.leaf({ uri: `spiffe://agents.example.com/agent/a/${n}` }));
  const [first, second] = leaves.map((leaf) => ({ key: leaf.keyPem, chain: leaf.pem + at.issuing.pem }));
  const client = clientOf(at, { credential: first! });
  assert.equal(await client.json({ path: '/who' }), hash('sha256', leaves[0]!.der));
  client.setCredential(second!);
  assert.equal(await client.json({ path: '/who' }), hash('sha256', leaves[1]!.der));
  client.close();
});

test('believes a server under a root that came later, and no longer one under a root that went', async () => {
  const where = [route('GET', '/here', () => ({ status: 200, body: 'true' }))];
  await using old = await listener(where);
  await using at = await listener(where);
  const leaf = at.issuing.leaf({ uri: 'spiffe://agents.example.com/agent/a/1' });
  const credential = { key: leaf.keyPem, chain: leaf.pem };
  const here = (client: Client) => client.json<boolean>({ path: '/here' });
  const client = clientOf(at, { roots: [old.ca], attempts: 1 });
  await assert.rejects(here(client), (error) => isWritError(error, 'bad_certificate'));
  client.setCredential(credential, [old.ca, at.ca]);
  assert.equal(await here(client), true);
  client.setCredential(credential, [old.ca]);
  await assert.rejects(here(client), (error) => isWritError(error, 'bad_certificate'));
  client.close();
});

test('the address of a server is an https origin', () => {
  for (const server of ['', 'localhost:8443', 'http://localhost', 'https://a/b', 'https://u@a', 'https://a?b']) {
    assert.throws(
      () => new Client({ server, roots: [] }),
      (error) => isWritError(error, 'bad_config'),
      server,
    );
  }
});
