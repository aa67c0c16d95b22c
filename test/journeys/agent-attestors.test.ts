/**
 * `writ agent run --attestor`: a machine is let in on what its platform vouches for, and serves a program on it. Platforms are
 * strict fakes of their published interfaces, the module is a real one of `swtpm` where that is installed.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import {
  header,
  readStream,
  type WorkloadStub,
  workloadStub,
  type X509Answer,
} from '../../src/agent/testdata/client.ts';
import { messageSigner, rsaSigner, signedMessage } from '../../src/attest/verifier/testdata/signed-message.ts';
import { noSwtpm, swtpm } from '../../src/attest/verifier/testdata/swtpm.ts';
import { fakeCluster } from '../../src/attest/verifier/testdata/token-review.ts';
import { isWritError } from '../../src/base/error.ts';
import { keptIdentity, SOURCE } from '../../src/cli/commands/run.ts';
import { CONNECTION_FLAGS } from '../../src/cli/connection.ts';
import { toInput } from '../../src/cli/input.ts';
import { encodePem } from '../../src/der/pem.ts';
import { ENDORSEMENT_KEYS } from '../../src/sdk/evidence/endorsement.ts';
import { awsMetadata, azureMetadata, gcpMetadata, githubActions } from '../../src/sdk/evidence/testdata/platforms.ts';
import { openTpm, Tpm } from '../../src/sdk/evidence/tpm-device.ts';
import type { Identity } from '../../src/sdk/identity/identity.ts';
import { issue } from '../../src/x509/path/testdata/issue.ts';
import { testServer } from '../server.ts';
import { rootsIn } from './clients.ts';
import { tlsIssuer } from './testdata/issuer.ts';

let server = await testServer();
const closing: (() => unknown)[] = [];
after(async () => {
  for (const close of closing.reverse()) await close();
});

const config = JSON.parse(readFileSync(join(server.data, 'config.json'), 'utf8')) as object;
const attestation = { allowNetworks: ['127.0.0.0/8'], reviewerTokens: { cluster: join(server.scratch, 'reviewer') } };
writeFileSync(join(server.scratch, 'reviewer'), 'reviewer\n', { mode: 0o600 });
writeFileSync(join(server.data, 'config.json'), JSON.stringify({ ...config, attestation }));
server = await server.restart();

const issuer = await tlsIssuer();
closing.push(() => issuer[Symbol.asyncDispose]());

const [root] = rootsIn(server.operator);
const ROOT = `sha256:${createHash('sha256').update(new X509Certificate(root!).raw).digest('hex')}`;
const OWNER = ['--team', 'tests', '--sponsor', 'ada@example.com', '--purpose', 'tests'];
await server.json('service', 'register', 'host', ...OWNER);
await server.json('agent', 'register', 'planner', ...OWNER);
await server.json('entry', 'create', 'planner', '--node', 'host', '--match', `unix:uid=${process.geteuid!()}`);

function file(name: string, content: string): string {
  const path = join(server.scratch, name);
  writeFileSync(path, content, { mode: 0o600 });
  return path;
}

async function attestor(name: string, kind: string, settings: Record<string, string>, match: string): Promise<void> {
  const set = Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
  await server.json('attestor', 'add', name, '--kind', kind, ...set);
  await server.json('entry', 'create', 'host', '--attestor', name, '--match', match);
}

interface Running {
  readonly child: ChildProcess;
  readonly id: string;
  readonly socket: string;
  /** Ends it; fails unless it goes well. */
  end(): Promise<void>;
}

interface Refused {
  readonly code: number | null;
  readonly error: { code: string; message: string; field?: string; next?: string; reasons?: readonly string[] };
}

let places = 0;

/** A daemon with these flags, or why there is none. */
async function launch(flags: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Running | Refused> {
  const socket = join(server.scratch, `run-${places++}`, 'api.sock');
  const program = ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, '../../src/cmd/main.ts')];
  const line = [...program, 'agent', 'run', '--socket', socket, '--json', ...flags];
  const own = { WRIT_SERVER: server.api, WRIT_ROOT: ROOT, NODE_TEST_CONTEXT: undefined };
  const env = { ...process.env, ...own, ...environment };
  const child = spawn(process.execPath, line, { stdio: ['ignore', 'pipe', 'pipe'], env });
  closing.push(() => child.kill('SIGKILL'));
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null }));
  const first = await Promise.race([once(createInterface({ input: child.stdout }), 'line'), ended]);
  if (!Array.isArray(first)) return { ...first, ...(JSON.parse(said.trim().split('\n').at(-1)!) as Refused) };
  const { spiffe_id: id } = JSON.parse(String(first[0])) as { spiffe_id: string };
  return {
    ...{ child, id, socket },
    async end() {
      child.kill('SIGTERM');
      assert.deepEqual(await ended, { code: 0 }, said);
    },
  };
}

async function running(flags: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Running> {
  const launched = await launch(flags, environment);
  assert.ok('id' in launched, JSON.stringify(launched));
  return launched;
}

/** Why nobody is let in; by `writ enrol`, which takes the same flags and needs no process of its own. */
async function refused(flags: readonly string[], root = ROOT): Promise<Refused> {
  const out = join(server.scratch, `refused-${places++}`);
  const { code, stdout, stderr } = await server.cli('enrol', ...flags, '--root', root, '--out', out, '--json');
  assert.notEqual(code, 0, stdout);
  return { code, ...(JSON.parse(stderr) as Pick<Refused, 'error'>) };
}

const instanceOf = (id: string): string => id.split('/').at(-1)!;

/** That a program on this machine has an identity of the daemon, and that the machine was let in by this attestor. */
async function serves({ id, socket }: Running, by: string): Promise<void> {
  assert.match(id, /\/service\/host\/[0-9a-z]{26}$/);
  const stub = workloadStub(socket);
  try {
    const { svids } = await firstAnswer(stub);
    const { parent } = await server.json<{ parent: string }>('instance', 'show', instanceOf(svids[0]!.spiffe_id));
    assert.equal(parent, instanceOf(id));
  } finally {
    stub.close();
  }
  const { attestation: kind } = await server.json<{ attestation: string }>('instance', 'show', instanceOf(id));
  const { settings } = await server.json<{ settings: { kind: string } }>('attestor', 'show', by);
  assert.equal(kind, settings.kind);
}

/** What a program hears first; until the daemon has its entries from a slow server, that is nothing. */
async function firstAnswer(stub: WorkloadStub): Promise<X509Answer> {
  const late = performance.now() + 60_000;
  for (;;) {
    const stream = readStream(stub.FetchX509SVID({}, header()));
    try {
      return (await stream.count(1, 30_000))[0]!;
    } catch (error) {
      if (performance.now() > late) throw error;
      await pause(200);
    } finally {
      stream.cancel();
    }
  }
}

/** From no machine to a program with an identity, once. */
async function letsIn(by: string, flags: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<void> {
  const daemon = await running(['--attestor', by, ...flags], environment);
  await serves(daemon, by);
  await daemon.end();
}

const AUDIENCE = 'agents.example.com';
await attestor(
  'ci',
  'oidc',
  { issuer: issuer.url, audience: AUDIENCE, ca: `@${file('issuer.pem', issuer.ca)}` },
  'oidc:sub=machine-*',
);
const machineToken = (audience = AUDIENCE): string => issuer.token({ aud: audience, sub: 'machine-1' });

test('oidc: by a token in a file, which is read anew, or in a variable', async () => {
  const token = file('ci-token', `${machineToken()}\n`);
  const flags = ['--evidence', 'oidc', '--evidence-token-file', token];
  await letsIn('ci', flags);

  const spent = await launch(['--attestor', 'ci', ...flags]);
  assert.ok('error' in spent, 'it runs');
  const { code, error } = spent;
  assert.deepEqual([code, error.code], [5, 'evidence_refused']);
  assert.match(error.reasons!.join('\n'), /attestor "ci"[\s\S]*audience agents\.example\.com[\s\S]*lets in once/);
  assert.match(error.next!, /writ ledger list --subject attestor:ci/);
  writeFileSync(token, machineToken());
  await letsIn('ci', flags);
  await letsIn('ci', ['--evidence', 'oidc', '--evidence-token-variable', 'WRIT_ID_TOKEN'], {
    WRIT_ID_TOKEN: machineToken(),
  });
});

test('a mistake is told with what to do about it, before anything is used up', async () => {
  const none = join(server.scratch, 'no-such-token');
  const missing = await refused(['--attestor', 'ci', '--evidence', 'oidc', '--evidence-token-file', none]);
  assert.deepEqual([missing.code, missing.error.code], [2, 'bad_config']);
  assert.ok(missing.error.next!.includes(none));

  const elsewhere = file('elsewhere', machineToken('https://somebody-else.example'));
  const audience = await refused(['--attestor', 'ci', '--evidence', 'oidc', '--evidence-token-file', elsewhere]);
  assert.match(audience.error.reasons!.join('\n'), /made out to the audience https:\/\/somebody-else\.example\./);
  assert.ok(audience.error.reasons!.includes(`The token is of the issuer ${issuer.url}.`));

  const fresh = ['--evidence', 'oidc', '--evidence-token-file', file('fresh', machineToken())];
  const name = await refused(['--attestor', 'no-such', ...fresh]);
  assert.deepEqual([name.code, name.error.code], [5, 'evidence_refused']);
  assert.match(name.error.next!, /writ attestor show no-such/);
  const kind = await refused(['--attestor', 'ci', '--evidence', 'k8s', ...fresh.slice(2)]);
  assert.match(kind.error.reasons![0]!, /attestor "ci", as one of the kind k8s/);

  const silent = await refused(['--attestor', 'ci', '--evidence', 'aws', '--evidence-metadata', 'http://127.0.0.1:1']);
  assert.deepEqual([silent.error.code, silent.error.field], ['unavailable', 'metadata']);
  assert.match(silent.error.next!, /machine of EC2/);
  assert.equal(process.env['ACTIONS_ID_TOKEN_REQUEST_URL'], undefined, 'tests run elsewhere');
  const action = await refused(['--attestor', 'ci', '--evidence', 'github-actions', '--evidence-audience', 'x']);
  assert.match(action.error.next!, /id-token: write/);
  const device = await refused(['--attestor', 'ci', '--evidence', 'tpm', '--evidence-device', '/nonexistent']);
  assert.match(device.error.next!, /\/nonexistent.*tss/);

  const stranger = await refused(['--attestor', 'ci', ...fresh], `sha256:${'0'.repeat(64)}`);
  assert.deepEqual([stranger.error.code, stranger.error.field], ['bad_certificate', 'root']);

  // None of that used the token up.
  await letsIn('ci', fresh);
});

test('github-actions: by what the job may ask for', async () => {
  await using actions = await githubActions('of the job', (aud) => issuer.token({ aud, sub: 'machine-of-github' }));
  await letsIn('ci', ['--evidence', 'github-actions', '--evidence-audience', AUDIENCE], {
    ACTIONS_ID_TOKEN_REQUEST_URL: `${actions.url}/_apis/idtoken?api-version=2.0`,
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'of the job',
  });
});

test('k8s: by the token of its account, which the cluster reviews', async () => {
  await using cluster = await fakeCluster();
  const settings = { server: cluster.url, ca: `@${file('cluster.pem', cluster.ca)}`, audience: 'writ' };
  await attestor('cluster', 'k8s', settings, 'k8s:namespace=agents');
  cluster.reviewers.add('reviewer');
  const subject = 'system:serviceaccount:agents:host';
  const token = issuer.token({ aud: ['writ'], sub: subject });
  cluster.accounts.set(token, { username: subject, uid: 'u', groups: [], audiences: ['writ'] });
  await letsIn('cluster', ['--evidence', 'k8s', '--evidence-token-file', file('k8s-token', token)]);
});

const today = Math.floor(Date.now() / 1000) * 1000;
const validity = { notBefore: today - 86_400_000, notAfter: today + 86_400_000 };

test('x509pop: by the certificate of another authority and proof of its key', async () => {
  const factory = issue('Factory', { ca: true, ...validity });
  const plant = issue('Plant', { issuer: factory, ca: true, ...validity });
  const machine = issue('machine-1', { issuer: plant, ...validity });
  const pem = (one: typeof machine): string => encodePem('CERTIFICATE', one.certificate.raw);
  const key = (one: typeof machine): string => one.key.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  await attestor(
    'factory',
    'x509pop',
    { roots: `@${file('factory.pem', pem(factory))}` },
    'x509:common_name=machine-*',
  );
  const chain = file('machine.pem', `made by the plant\n${pem(machine)}${pem(plant)}`);
  const flags = ['--evidence', 'x509pop', '--evidence-chain-file', chain, '--evidence-key-file'];
  await letsIn('factory', [...flags, file('machine.key', key(machine))]);
  const another = await refused(['--attestor', 'factory', ...flags, file('plant.key', key(plant))]);
  assert.deepEqual([another.error.code, another.error.field], ['bad_config', 'key']);
});

test('aws: a machine is let in once, and comes back by what it keeps', async () => {
  const region = rsaSigner('AWS', validity);
  const certificates = `@${file('aws.pem', encodePem('CERTIFICATE', region.certificate.raw))}`;
  await attestor('aws', 'aws', { accounts: '123456789012', certificates }, 'aws:region=us-west-2');
  const said = { accountId: '123456789012', instanceId: 'i-1234567890abcdef0', region: 'us-west-2' };
  const pendingTime = new Date().toISOString().replace(/\.\d+/, '');
  await using metadata = await awsMetadata(() => signedMessage({ ...said, pendingTime }, { by: region, brings: [] }));
  const store = join(server.scratch, 'aws-store');
  const flags = ['--attestor', 'aws', '--evidence', 'aws', '--evidence-metadata', metadata.url];
  const first = await running([...flags, '--store', store]);
  await serves(first, 'aws');
  first.child.kill('SIGKILL');
  await once(first.child, 'close');
  const asked = metadata.asked.length;

  const again = await running([...flags, '--store', store]);
  assert.equal(again.id, first.id);
  assert.equal(metadata.asked.length, asked, 'nothing is asked of the metadata service');
  await again.end();
  const lost = await refused(flags);
  assert.equal(lost.error.code, 'evidence_refused');
  assert.match(lost.error.reasons!.join('\n'), /Keep the identity in a directory \(store\).*join token/);
  // As that says.
  const token = file('join-token', (await server.json<{ token: string }>('token', 'create', 'host')).token);
  const byToken = await running(['--token-file', token, '--store', `${store}-2`]);
  await byToken.end();
  const back = await running([...flags, '--store', `${store}-2`]);
  assert.equal(back.id, byToken.id);
  await back.end();
});

test('gcp and gcp-identity: by a token of the metadata server', async () => {
  const machine = { project_id: 'my-project', project_number: 1, zone: 'z', instance_id: '42', instance_name: 'm' };
  const google = { iss: 'https://accounts.google.com', sub: '107517467455664443765' };
  const settings = { projects: 'my-project', audience: AUDIENCE, jwks_uri: `${issuer.url}/keys` };
  await attestor('gcp', 'gcp', { ...settings, ca: `@${file('gcp.pem', issuer.ca)}` }, 'gcp:instance_id=42');
  await using metadata = await gcpMetadata((aud, full) =>
    issuer.token({ ...google, aud, ...(full ? { google: { compute_engine: machine } } : {}) }),
  );
  const flags = ['--evidence-audience', AUDIENCE, '--evidence-metadata', metadata.url];
  await letsIn('gcp', ['--evidence', 'gcp', ...flags]);

  const account = { issuer: 'https://accounts.google.com', audience: AUDIENCE, jwks_uri: `${issuer.url}/keys` };
  await attestor('google', 'oidc', { ...account, ca: `@${file('gcp.pem', issuer.ca)}` }, `oidc:sub=${google.sub}`);
  await letsIn('google', ['--evidence', 'gcp-identity', ...flags]);
});

test('azure and azure-identity: by a document for this key, and by a managed identity', async () => {
  const authority = issue('Root', { ca: true, ...validity });
  const names = [{ kind: 'dns' as const, value: 'metadata.azure.com' }];
  const signer = messageSigner('metadata.azure.com', { issuer: authority, names, ...validity });
  const subscriptionId = '8d10da13-8125-4ba9-a717-bf7490507b3d';
  const roots = `@${file('azure.pem', encodePem('CERTIFICATE', authority.certificate.raw))}`;
  await attestor('azure', 'azure', { subscriptions: subscriptionId, roots }, `azure:subscription_id=${subscriptionId}`);
  const stamp = (ms: number): string => {
    const [year, month, day] = new Date(ms).toISOString().slice(0, 10).split('-');
    return `${month}/${day}/${year!.slice(2)} ${new Date(ms).toISOString().slice(11, 19)} -0000`;
  };
  await using metadata = await azureMetadata({
    document: (nonce) => {
      const timeStamp = { createdOn: stamp(Date.now()), expiresOn: stamp(Date.now() + 3600_000) };
      return signedMessage(
        { nonce, subscriptionId, vmId: '02aab8a4-74ef-476e-8182-f6d2ba4166a6', timeStamp },
        { by: signer },
      );
    },
    token: (aud) => issuer.token({ aud, sub: 'machine-of-azure' }),
  });
  await letsIn('azure', ['--evidence', 'azure', '--evidence-metadata', metadata.url]);
  const flags = ['--evidence-audience', AUDIENCE, '--evidence-metadata', metadata.url];
  await letsIn('ci', ['--evidence', 'azure-identity', ...flags]);
});

test('tpm: by its module, from a machine that has one', { skip: noSwtpm }, async () => {
  await using module = await swtpm();
  await attestor('modules', 'tpm', { roots: `@${file('tpm.pem', module.root)}` }, 'tpm:model=swtpm');
  const chain = file('tpm-chain.pem', module.issuing);
  const flags = ['--evidence', 'tpm', '--evidence-device', module.socket, '--evidence-chain-file', chain];
  await letsIn('modules', flags);
  await letsIn('modules', flags);
});

test('tpm: each renewal takes the module, also by what a store has', { skip: noSwtpm }, async () => {
  await using module = await swtpm();
  await attestor('chips', 'tpm', { roots: `@${file('chips.pem', module.root)}` }, 'tpm:model=swtpm');
  const chain = file('chips-chain.pem', module.issuing);
  const store = join(server.scratch, 'tpm-store');
  /** As `writ agent run` comes by the identity of its machine. */
  const kept = (options: Record<string, string>): Promise<Identity> => {
    const flags = [...SOURCE, { name: 'store', value: 'directory', summary: '' }, ...CONNECTION_FLAGS];
    const command = { path: 'agent run', summary: '', flags, run: async () => 0 };
    const given = { server: server.api, root: ROOT, store, ...options };
    return keptIdentity(toInput(command, { given: [], options: given, environment: {} }), () => assert.fail()).then(
      ({ identity }) => identity,
    );
  };
  const shown = { attestor: 'chips', evidence: 'tpm', evidenceDevice: module.socket, evidenceChainFile: chain };
  const first = await kept(shown);
  const { serial } = first.credential;
  assert.notEqual((await first.renew()).serial, serial);
  first.close();
  const again = await kept(shown);
  assert.equal(again.spiffeId, first.spiffeId);
  await again.renew();
  again.close();

  const without = await kept({});
  assert.equal(without.spiffeId, first.spiffeId);
  const unsigned = (error: unknown): boolean => isWritError(error, 'evidence_refused') && error.field === '/tpm';
  await assert.rejects(without.renew(), unsigned);
  without.close();
  // The store was copied to a machine with another module.
  await using other = await swtpm();
  const copied = await kept({ ...shown, evidenceDevice: other.socket });
  await assert.rejects(copied.renew(), unsigned);
  copied.close();

  // A module whose maker certified an endorsement key of P-384 alone.
  module.run('nvundefine', '-C', 'p', '0x1c00002');
  const curve = await kept({ ...shown, store: `${store}-2` });
  const { serial: before } = curve.credential;
  assert.notEqual((await curve.renew()).serial, before);
  assert.notEqual(curve.spiffeId, first.spiffeId);
  curve.close();
});

test('tpm: endorsement keys are those that tpm2-tools have the module make', { skip: noSwtpm }, async () => {
  await using module = await swtpm();
  const tpm = new Tpm(await openTpm(module.socket));
  const areas = new Map<number, string>();
  for (const { index, template } of ENDORSEMENT_KEYS) {
    const { handle, area } = await tpm.createPrimary(template);
    areas.set(index, area.toString('hex'));
    await tpm.flush(handle);
  }
  assert.equal(new Set(areas.values()).size, ENDORSEMENT_KEYS.length);
  for (const [index, algorithm] of [
    [0x01c0_0002, 'rsa2048'],
    [0x01c0_000a, 'ecc256'],
    [0x01c0_0016, 'ecc384'],
  ] as const) {
    module.run('createek', '-G', algorithm, '-c', 'ek.ctx', '-u', 'ek.pub');
    assert.equal(areas.get(index), module.read('ek.pub').toString('hex'), algorithm);
  }
});
