/**
 * A foreign client that keeps TLS sessions and comes back with them: nobody is let in on a check of a certificate that was
 * made before its revocation, at the API or at a server written with the client library, also when those start again.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, test } from 'node:test';
import { connect } from '../../src/sdk/enrolment/connect.ts';
import { createVerifier, type Verifier } from '../../src/sdk/verifier/verifier.ts';
import { openssl, pathOf, skipOf } from '../interop/tools.ts';
import { type TestServer, testServer } from '../server.ts';

const tool = openssl();
const skip = skipOf(tool);
let server: TestServer = await testServer();
const roots = join(server.scratch, 'roots.pem');
const gateway = await connect({ token: await server.token('gateway', 'service') });
after(() => gateway.close());
writeFileSync(roots, gateway.credential.roots.join(''));

/** Somebody with a certificate in files, as `openssl s_client` takes it. */
async function newcomer(): Promise<{ readonly serial: string; readonly flags: readonly string[] }> {
  const identity = await connect({ token: await server.token('planner') });
  identity.close();
  const { serial, key, certificate, chain } = identity.credential;
  const file = (name: string, content: string): string => {
    const path = join(server.scratch, `${serial}.${name}`);
    writeFileSync(path, content, { mode: 0o600 });
    return path;
  };
  const flags = [
    ...['-cert', file('pem', certificate), '-cert_chain', file('chain', chain.join(''))],
    ...['-key', file('key', key.export({ type: 'pkcs8', format: 'pem' }) as string)],
  ];
  return { serial, flags };
}

interface Visit {
  /** Whether the session was resumed; undefined where there was no handshake. */
  readonly resumed: boolean | undefined;
  /** Of the answer; undefined where none came. */
  readonly status: number | undefined;
}

/** One request by `openssl s_client`. */
async function visit(url: string, path: string, flags: readonly string[]): Promise<Visit> {
  const { host } = new URL(url);
  const child = spawn(
    pathOf(tool),
    ['s_client', '-connect', host, '-CAfile', roots, '-noservername', '-ign_eof', ...flags],
    { stdio: ['pipe', 'pipe', 'ignore'] },
  );
  child.stdin.on('error', () => undefined);
  child.stdin.end(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  const timer = setTimeout(() => child.kill(), 15_000);
  const [said] = await Promise.all([text(child.stdout), once(child, 'close')]);
  clearTimeout(timer);
  const resumed = /^Reused, TLS/m.test(said) ? true : /^New, TLS/m.test(said) ? false : undefined;
  const status = /HTTP\/1\.1 (\d{3})/.exec(said)?.[1];
  return { resumed, status: status === undefined ? undefined : Number(status) };
}

interface Guarded {
  readonly url: string;
  close(): void;
}

/** A server whose settings hand out tickets that outlive it, guarded by a verifier or, for comparison, by nothing. */
async function serve(verifier: Verifier, ticketKeys: Buffer, guarded: boolean): Promise<Guarded> {
  const { secureOptions: _, minVersion: __, ...options } = verifier.serverOptions();
  const answer = (_: unknown, response: { end(text: string): void }): void => response.end('served');
  const loose = createServer(
    { ...options, ticketKeys, sessionTimeout: 3600 },
    guarded ? verifier.guard(answer, { allow: 'agent/planner/*' }) : answer,
  );
  loose.on('tlsClientError', () => undefined);
  const release = guarded ? protectLoosely(verifier, loose) : () => undefined;
  await once(loose.listen(0, '127.0.0.1'), 'listening');
  return {
    url: `https://127.0.0.1:${(loose.address() as AddressInfo).port}`,
    close() {
      release();
      loose.close();
      loose.closeAllConnections();
    },
  };
}

/** `protect` puts the settings right; here they are made wrong again behind its back. */
function protectLoosely(verifier: Verifier, loose: Server): () => void {
  const set = loose.setSecureContext.bind(loose);
  loose.setSecureContext = () => undefined;
  const release = verifier.protect(loose, { allow: 'agent/planner/*' });
  loose.setSecureContext = set;
  return release;
}

test('a server with a verifier lets nobody in on a session, also after its restart', { skip }, async () => {
  const verifier = createVerifier({ identity: gateway, mode: 'strict' });
  after(() => verifier.close());
  await verifier.ready(AbortSignal.timeout(10_000));
  const keys = randomBytes(48);
  for (const version of ['-tls1_3', '-tls1_2']) {
    const { serial, flags } = await newcomer();
    const session = join(server.scratch, `sdk${version}.session`);
    const kept = [...flags, version, '-sess_in', session];
    const open = await serve(verifier, keys, false);
    assert.deepEqual(await visit(open.url, '/', [...flags, version, '-sess_out', session]), {
      resumed: false,
      status: 200,
    });
    // Without a verifier the session is as good as the certificate, also alone.
    assert.deepEqual(await visit(open.url, '/', kept), { resumed: true, status: 200 });
    assert.deepEqual(await visit(open.url, '/', [version, '-sess_in', session]), { resumed: true, status: 200 });
    open.close();

    const first = await serve(verifier, keys, true);
    assert.equal(
      (await visit(first.url, '/', [...flags, version])).status,
      200,
      'whoever shows a certificate is served',
    );
    assert.equal((await visit(first.url, '/', kept)).status, undefined, 'a session is not, of whomever it is');
    await server.json('cert', 'revoke', serial, '--cause', 'key_theft');
    for (let tries = 0; (await visit(first.url, '/', [...flags, version])).status === 200; tries++)
      assert.ok(tries < 20);
    assert.equal((await visit(first.url, '/', kept)).status, undefined);
    first.close();

    const second = await serve(verifier, keys, true);
    assert.equal((await visit(second.url, '/', kept)).status, undefined);
    assert.equal((await visit(second.url, '/', [version, '-sess_in', session])).status, undefined);
    second.close();
  }
});

test('the API resumes no session, of nobody, before and after a revocation and a restart', { skip }, async () => {
  const { serial, flags } = await newcomer();
  const session = join(server.scratch, 'api.session');
  const out = [...flags, '-sess_out', session];
  assert.deepEqual(await visit(server.api, '/v1/whoami', out), { resumed: false, status: 200 });
  // What is kept without a ticket is known to nobody: the certificate is looked at again.
  const again = existsSync(session) ? ['-sess_in', session] : [];
  assert.deepEqual(await visit(server.api, '/v1/whoami', [...flags, ...again]), { resumed: false, status: 200 });

  await server.json('cert', 'revoke', serial, '--cause', 'key_theft');
  const refused = async (): Promise<void> => {
    assert.deepEqual(await visit(server.api, '/v1/whoami', [...flags, ...again]), { resumed: false, status: 403 });
    // The session alone, without the certificate that it was made with.
    assert.deepEqual(await visit(server.api, '/v1/whoami', again), { resumed: false, status: 401 });
  };
  await refused();
  server = await server.restart();
  await refused();
});
