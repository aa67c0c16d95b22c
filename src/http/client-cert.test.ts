import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent } from 'node:https';
import { after, before, describe, test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import type { Caller } from '../base/access.ts';
import { WritError } from '../base/error.ts';
import { authenticate, type Identify, type Presented, type Standing } from './client-cert.ts';
import type { Route } from './route.ts';
import { ask } from './testdata/ask.ts';
import { type KeyKind, testAuthority } from './testdata/authority.ts';
import { type Listener, listener } from './testdata/listener.ts';

const CALLER: Caller = { kind: 'agent', id: 'spiffe://agents.example.com/agent/planner/1', instance: '1' };
const URI = CALLER.id;

const routes: Route[] = [
  { method: 'GET', path: '/who', access: 'caller', handle: ({ caller }) => ({ status: 200, body: caller.id }) },
  { method: 'POST', path: '/act', access: 'caller', handle: () => ({ status: 200, body: 'acted' }) },
  { method: 'GET', path: '/open', access: 'public', handle: ({ caller }) => ({ status: 200, body: caller.id }) },
];

describe('client certificates', () => {
  let at: Listener;
  let presented: Presented | undefined;
  let verified = 0;
  let standing: Standing = () => undefined;
  const identify: Identify = (seen) => {
    presented = seen;
    verified += 1;
    if (seen.fault !== undefined) throw new WritError('not_authenticated', `fault ${seen.fault}`);
    return { caller: CALLER, notBefore: 0, notAfter: Number.MAX_SAFE_INTEGER };
  };
  before(async () => {
    at = await listener(routes, { clients: { identify, standing: (caller) => standing(caller) } });
  });
  after(() => at[Symbol.asyncDispose]());

  test('without one the private route is closed and the public one open', async () => {
    assert.match(
      (await ask({ port: at.port, ca: at.ca, path: '/who' })).text,
      /^not_authenticated No client certificate/,
    );
    assert.equal((await ask({ port: at.port, ca: at.ca, path: '/open' })).text, 'anonymous');
  });

  for (const key of ['p256', 'p384', 'ed25519', 'ml-dsa-44', 'ml-dsa-65', 'rsa'] satisfies KeyKind[]) {
    test(`one with a key of ${key} is taken, alone and with its chain`, async () => {
      const leaf = at.issuing.leaf({ uri: URI, key });
      for (const pem of [leaf.pem, leaf.pem + at.issuing.pem, leaf.pem + at.issuing.pem + at.root.pem]) {
        const answer = await ask({ port: at.port, ca: at.ca, path: '/who', client: { keyPem: leaf.keyPem, pem } });
        assert.equal(answer.text, URI);
        assert.deepEqual(Buffer.from(presented!.chain[0]!), Buffer.from(leaf.der));
      }
    });
  }

  const bad: [string, () => { keyPem: string; pem: string }, string][] = [
    ['expired', () => at.issuing.leaf({ uri: URI, lifetime: -1000 }), 'CERT_HAS_EXPIRED'],
    ['of another root', () => testAuthority().leaf({ uri: URI }), 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
    ['not for clients', () => at.issuing.leaf({ uri: URI, usages: ['1.3.6.1.5.5.7.3.1'] }), 'INVALID_PURPOSE'],
  ];
  for (const [name, make, fault] of bad) {
    test(`one that is ${name} opens nothing, and what is public stays open`, async () => {
      const client = make();
      const answer = await ask({ port: at.port, ca: at.ca, path: '/who', client });
      assert.equal(answer.text, `not_authenticated fault ${fault}`);
      assert.equal((await ask({ port: at.port, ca: at.ca, path: '/open', client })).text, 'anonymous');
    });
  }

  test('is asked for again when the body has come, which may take long', async () => {
    const client = at.issuing.leaf({ uri: URI });
    const socket = connect({ host: '127.0.0.1', port: at.port, ca: at.ca, key: client.keyPem, cert: client.pem });
    await once(socket, 'secureConnect');
    let asked = 0;
    standing = () => {
      asked += 1;
      return undefined;
    };
    socket.write('POST /act HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{');
    while (asked === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    standing = () => new WritError('revoked', 'The certificate was revoked.');
    socket.end('}');
    let text = '';
    for await (const chunk of socket) text += String(chunk);
    assert.match(text, /\r\n\r\nrevoked /);
    standing = () => undefined;
  });

  test('is verified once a connection, and its standing is asked for each request', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const client = at.issuing.leaf({ uri: URI });
    const asked = { port: at.port, ca: at.ca, path: '/who', client, agent };
    const before = verified;
    assert.equal((await ask(asked)).text, URI);
    standing = () => new WritError('revoked', 'The certificate was revoked.');
    assert.match((await ask(asked)).text, /^revoked /);
    standing = async () => new WritError('unavailable', 'The status cannot be known.');
    assert.match((await ask(asked)).text, /^unavailable /);
    standing = async () => {
      throw new Error('the database is gone');
    };
    assert.match((await ask(asked)).text, /^internal /);
    standing = () => undefined;
    assert.equal((await ask(asked)).text, URI);
    assert.equal(verified, before + 1);
    agent.destroy();
  });

  test('no session is resumed, so that no connection goes unverified', async () => {
    const client = at.issuing.leaf({ uri: URI });
    for (const renewed of [false, true]) {
      if (renewed) {
        const next = at.issuing.leaf({ uri: 'spiffe://agents.example.com/writ/server', dns: ['localhost'] });
        at.server.setIdentity({ key: next.keyPem, chain: next.pem + at.issuing.pem, trusted: [at.root.pem] });
      }
      const options = {
        host: '127.0.0.1',
        port: at.port,
        ca: at.ca,
        servername: 'localhost',
        key: client.keyPem,
        cert: client.pem,
      };
      const session = await new Promise<Buffer>((resolve) => {
        const first: TLSSocket = connect(options);
        first.on('session', (ticket) => {
          first.destroy();
          resolve(ticket);
        });
      });
      const resumed = await new Promise<boolean>((resolve) => {
        const second: TLSSocket = connect({ ...options, session }, () => {
          resolve(second.isSessionReused());
          second.destroy();
        });
      });
      assert.equal(resumed, false);
    }
  });

  test('after a change of identity new connections see the new certificate and clients stay known', async () => {
    const next = at.issuing.leaf({
      uri: 'spiffe://agents.example.com/writ/server',
      dns: ['localhost'],
      loopback: true,
    });
    at.server.setIdentity({
      key: next.keyPem,
      chain: next.pem + at.issuing.pem,
      trusted: [at.root.pem, at.issuing.pem],
    });
    const seen = await new Promise<Buffer>((resolve) => {
      const socket: TLSSocket = connect(
        { host: '127.0.0.1', port: at.port, ca: at.ca, servername: 'localhost' },
        () => {
          resolve(socket.getPeerX509Certificate()!.raw);
          socket.destroy();
        },
      );
    });
    assert.deepEqual(seen, Buffer.from(next.der));
    const client = at.issuing.leaf({ uri: URI });
    assert.equal((await ask({ port: at.port, ca: at.ca, path: '/who', client })).text, URI);
  });

  test('TLS 1.2 is not spoken', async () => {
    await assert.rejects(
      new Promise((resolve, reject) => {
        connect({ host: '127.0.0.1', port: at.port, ca: at.ca, maxVersion: 'TLSv1.2' }, () => resolve(undefined)).on(
          'error',
          reject,
        );
      }),
    );
  });
});

test('a certificate holds from notBefore to before notAfter, on open connections, too', async () => {
  const peer = { caller: CALLER, notBefore: 1000, notAfter: 2000 };
  const good: Standing = () => undefined;
  assert.equal(authenticate(peer, 1000, good), CALLER);
  assert.equal(authenticate(peer, 1999, good), CALLER);
  for (const now of [999, 2000]) {
    assert.throws(
      () => authenticate(peer, now, good),
      (error) => error instanceof WritError && error.code === 'not_authenticated',
    );
  }
});
