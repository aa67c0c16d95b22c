/** An issuing authority is succeeded while clients enrol and renew, and nobody notices. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { connect } from 'node:tls';
import { openssl, pathOf, skipOf } from '../interop/tools.ts';
import { type TestServer, testServer } from '../server.ts';
import { clientOf, enrol, issuerOf, type Leaf, renew, rootsIn, startLoad, whoami } from './clients.ts';

const OPENSSL = openssl();
const server = await testServer({ args: ['--threads', '2'] });
const roots = rootsIn(server.operator);
const many = ['token', 'create', 'planner', '--uses', '5000'];
await server.token('planner');
const { token } = await server.json<{ token: string }>(...many);
const open = clientOf(server.api, roots);
after(() => open.close());

/** The common name of the authority that signed the server's own certificate. */
async function serverIssuer({ api }: TestServer): Promise<string> {
  const { hostname: host, port } = new URL(api);
  const socket = connect({ host, port: Number(port), rejectUnauthorized: false });
  await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
  const { issuer } = socket.getPeerX509Certificate()!;
  socket.destroy();
  return issuer;
}

/** One leaf of each authority. */
const seen: Leaf[] = [];

async function callsAs(leaf: Leaf, alone: boolean): Promise<string> {
  const client = clientOf(server.api, roots, leaf, { alone });
  try {
    return await whoami(client);
  } finally {
    client.close();
  }
}

test('ca rotate fails no request, and what the old authority signed goes on', async () => {
  const old = await enrol(open, token);
  const kept = clientOf(server.api, roots, old);
  assert.equal(await whoami(kept), old.id);
  const before = await serverIssuer(server);
  assert.equal(before, issuerOf(old));

  const load = await startLoad(server.api, roots, token);
  await pause(300);
  const { id } = await server.json<{ id: string }>('ca', 'rotate');
  // At once: a client that shows nothing but a leaf of the new authority needs the server to know it already.
  const fresh = await enrol(open, token);
  assert.ok(issuerOf(fresh).includes(id));
  assert.equal(await callsAs(fresh, true), fresh.id);
  await pause(300);
  const { enrolled, renewed } = await load.stop();

  const of = (issuer: string, leaves: readonly Leaf[]): number =>
    leaves.filter((leaf) => issuerOf(leaf) === issuer).length;
  for (const leaves of [enrolled, renewed]) {
    assert.ok(of(before, leaves) > 5, `${leaves.length} certificates of both authorities`);
    assert.ok(of(issuerOf(fresh), leaves) > 5);
    assert.equal(of(before, leaves) + of(issuerOf(fresh), leaves), leaves.length);
  }

  assert.equal(await callsAs(old, false), old.id);
  assert.equal(await callsAs(old, true), old.id);
  assert.equal(await whoami(kept), old.id, 'on the connection from before');
  const next = await renew(kept);
  kept.close();
  assert.equal(issuerOf(next), issuerOf(fresh));
  assert.equal(await callsAs(next, true), next.id);

  assert.ok((await serverIssuer(server)).includes(id), 'its own certificate is of the new authority, too');
  seen.push(old, next);

  const states = (await server.json<{ items: { id: string; kind: string; state: string }[] }>('ca', 'list')).items;
  assert.deepEqual(
    states.filter(({ kind }) => kind === 'issuing').map(({ state }) => state),
    ['retired', 'active'],
  );
});

test('a foreign verifier accepts leaves of every authority there was', { skip: skipOf(OPENSSL) }, async () => {
  assert.equal(new Set(seen.map(issuerOf)).size, 2);
  const root = join(server.scratch, 'root.pem');
  writeFileSync(root, roots.join(''));
  for (const [n, leaf] of seen.entries()) {
    const [certificate, chain] = [join(server.scratch, `${n}.pem`), join(server.scratch, `${n}-chain.pem`)];
    writeFileSync(certificate, leaf.certificate);
    writeFileSync(chain, leaf.chain.join(''));
    const args = ['verify', '-x509_strict', '-CAfile', root, '-untrusted', chain, certificate];
    assert.match(execFileSync(pathOf(OPENSSL), args, { encoding: 'utf8' }), /: OK/);
    assert.equal(new X509Certificate(leaf.chain.at(-1)!).issuer, new X509Certificate(roots[0]!).subject);
  }
});
