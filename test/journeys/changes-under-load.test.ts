/** What administrators do beside a server that is at work: it holds at once, and no request of others fails for it. */
import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, sign, X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { encodePem } from '../../src/der/pem.ts';
import { encodeCsr } from '../../src/x509/csr.ts';
import { startServer } from '../program.ts';
import { cli, testServer } from '../server.ts';
import { failureOf, type Issued, refusalOf } from './authority.ts';
import { clientOf, csrFor, enrol, newKey, operatorClient, rootsIn, startLoad, whoami } from './clients.ts';

const DEADLINE_MS = 5000;

const server = await testServer({ args: ['--threads', '2'] });
const roots = rootsIn(server.operator);
await server.token('planner');
const { token } = await server.json<{ token: string }>('token', 'create', 'planner', '--uses', '10000');
const admin = operatorClient(server.operator, server.api);
const open = clientOf(server.api, roots);
after(() => [admin, open].map((client) => client.close()));

/** Does something while others enrol and renew; fails when any of their requests does. */
async function underLoad(act: () => Promise<void>): Promise<void> {
  const load = await startLoad(server.api, roots, token);
  await pause(200);
  await act();
  await pause(200);
  const { enrolled, renewed } = await load.stop();
  assert.ok(enrolled.length > 5 && renewed.length > 20, `${enrolled.length} enrolled, ${renewed.length} renewed`);
}

async function until(what: string, holds: () => Promise<boolean>): Promise<number> {
  const begun = performance.now();
  while (!(await holds())) {
    assert.ok(performance.now() - begun < DEADLINE_MS, `waited in vain: ${what}`);
    await pause(5);
  }
  return performance.now() - begun;
}

const codeOf = (promise: Promise<unknown>): Promise<string | undefined> =>
  promise.then(
    () => undefined,
    (error: { code?: string }) => error.code ?? String(error),
  );

interface Shown {
  readonly version: number;
  readonly updated_at: string;
  readonly keys: readonly string[];
}

async function rsaCsr(modulusLength: number): Promise<string> {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength });
  const spki = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
  const der = await encodeCsr({
    spki,
    algorithm: 'rsa-pkcs1-sha256',
    sign: async (message) => sign('sha256', message, privateKey),
  });
  return encodePem('CERTIFICATE REQUEST', der);
}

test('a removed operator is refused on the connection that he has', async (context) => {
  const file = join(server.scratch, 'grace.json');
  await server.json('operator', 'add', 'grace', '--person', 'admin', '--out', file);
  const grace = operatorClient(file, server.api);
  after(() => grace.close());
  const made = { method: 'POST', path: '/v1/tokens', body: { agent: 'planner', uses: 5 } } as const;
  await underLoad(async () => {
    assert.match(await whoami(grace), /\/operator\/grace$/);
    const { token: hers } = await grace.json<{ token: string }>(made);
    await server.json('operator', 'remove', 'grace');
    const waited = await until('the refusal', async () => (await codeOf(whoami(grace))) === 'revoked');
    context.diagnostic(`refused ${waited.toFixed(0)} ms after the command`);
    assert.equal((await failureOf(grace.json(made))).code, 'revoked');
    assert.equal(await codeOf(enrol(open, hers)), 'token_refused', 'nor does it live on in what was made with it');
  });
});

test('a profile that allows RSA is published, and nobody gets less than 2048 bits by it', async () => {
  const { instance } = await enrol(open, token);
  const issue = async (bits: number): Promise<Issued> =>
    admin.json({ method: 'POST', path: '/v1/certificates', body: { instance, csr: await rsaCsr(bits) } });
  await underLoad(async () => {
    assert.equal(await codeOf(issue(2048)), 'bad_csr');
    const { version, updated_at: _, ...profile } = await server.json<Shown>('profile', 'show', 'agent');
    const file = join(server.scratch, 'agent.json');
    writeFileSync(file, JSON.stringify({ ...profile, keys: [...profile.keys, 'rsa'] }));
    assert.equal((await server.json<{ version: number }>('profile', 'publish', file)).version, version + 1);
    await until('the profile', async () => (await codeOf(issue(2048))) === undefined);
    const { certificate, chain } = await issue(2048);
    const { publicKey, issuer } = new X509Certificate(certificate);
    assert.equal(publicKey.asymmetricKeyDetails?.modulusLength, 2048);
    assert.equal(issuer, new X509Certificate(chain[0]!).subject);
    assert.equal(await codeOf(issue(1024)), 'bad_csr');
  });
});

test('a policy set that is published binds whoever is at work', async () => {
  const { instance } = await enrol(open, token);
  const csr = await csrFor(newKey());
  const issue = (): Promise<Issued> =>
    admin.json({ method: 'POST', path: '/v1/certificates', body: { instance, csr } });
  const { text, version } = await server.json<{ text: string; version: number }>('policy', 'show');
  const rule = `@id("not-this-one")
@description("This instance gets no more.")
forbid (principal, action == Action::"certificate.issue", resource)
when { context has instance && context.instance == "${instance}" };
`;
  const file = join(server.scratch, 'rules.cedar');
  writeFileSync(file, `${text}\n${rule}`);
  await underLoad(async () => {
    await issue();
    assert.equal((await server.json<{ version: number }>('policy', 'publish', file)).version, version + 1);
    await until('the rule', async () => (await codeOf(issue())) === 'denied');
    assert.deepEqual((await failureOf(issue())).reasons, ['This instance gets no more.']);
  });
});

test('a backup that is made meanwhile is whole, and known to be old afterwards', async () => {
  const [backup, restored, keys] = ['backup', 'restored', 'keys'].map((name) => join(server.scratch, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(keys, (await server.cli('ledger', 'key')).stdout);
  const { instance } = await enrol(open, token);
  const record = async (): Promise<number> => {
    const body = { instance, csr: await csrFor(newKey()) };
    return (await admin.json<Issued>({ method: 'POST', path: '/v1/certificates', body })).ledger_index;
  };
  let [last, next] = [0, 0];
  await underLoad(async () => {
    last = await record();
    await server.json('backup', backup);
    next = await record();
  });
  assert.equal((await cli(['restore', backup, '--data', restored])).code, 0);
  const verify = async (...argv: string[]): Promise<{ code: number; entries: number; findings: unknown[] }> => {
    const { code, stdout } = await cli(['ledger', 'verify', '--data', restored, '--keys', keys, '--json', ...argv]);
    return { code, ...JSON.parse(stdout) };
  };
  const sound = await verify('--no-anchor');
  assert.deepEqual([sound.code, sound.findings], [0, []]);
  assert.ok(last < sound.entries && sound.entries <= next, `${last} < ${sound.entries} <= ${next}`);

  // The anchor is written about once a second.
  await until('that the anchor knows of more', async () => (await verify()).code === 7);
  writeFileSync(`${restored}-passphrase`, readFileSync(`${server.data}-passphrase`), { mode: 0o600 });
  assert.match(refusalOf(await failureOf(startServer(restored))), /^behind_anchor: /);
});

test('another passphrase: the server takes it over, and starts again with it alone', async () => {
  const file = `${server.data}-passphrase`;
  const old = readFileSync(file, 'utf8');
  await underLoad(async () => {
    await server.json('passphrase', 'change');
    // Needs the keys of the server and of the command to be sealed under the same one.
    await server.json('ca', 'rotate');
  });
  const fresh = readFileSync(file, 'utf8');
  assert.notEqual(fresh, old);
  await server.stop();
  writeFileSync(file, old);
  assert.match(refusalOf(await failureOf(startServer(server.data))), /^wrong_passphrase: /);
  writeFileSync(file, fresh);
  const again = await server.restart();
  const stranger = clientOf(again.api, roots);
  await enrol(stranger, token);
  stranger.close();
  await again.stop();
  const verified = await again.json<{ verified: boolean; findings: unknown[] }>('ledger', 'verify');
  assert.deepEqual([verified.verified, verified.findings], [true, []]);
});
