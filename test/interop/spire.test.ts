/** A SPIRE server, as it is, federates with Writ in both directions and by both profiles, through rotations on both sides. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect as connectTls, createServer, type TLSSocket } from 'node:tls';
import { testAuthority } from '../../src/http/testdata/authority.ts';
import { jwtValidator } from '../../src/sdk/jwt-svid.ts';
import { fromWorkloadApi } from '../../src/sdk/workload-api/identity.ts';
import type { Federation } from '../../src/wire/federation.ts';
import { testServer } from '../server.ts';
import { eventually } from './foreign.ts';
import { type Machine, machine } from './machine.ts';
import { type Spire, type SpireOptions, startSpire } from './spire.ts';
import { pathOf, skipOf, spireServer } from './tools.ts';

const SPIRE = spireServer();
const skip = skipOf(SPIRE);
const web = testAuthority('Partners’ Root');
const box = (skip === false ? await ready() : undefined)!;

/** A machine whose server finds partners on loopback, and knows those of `https_web` by an authority of ours. */
async function ready(): Promise<Machine> {
  const server = await testServer();
  const [path, caFile] = [join(server.data, 'config.json'), join(server.scratch, 'web-root.pem')];
  writeFileSync(caFile, web.pem);
  const federation = { allowNetworks: ['127.0.0.0/8', '::1/128'], caFile };
  const config = JSON.parse(readFileSync(path, 'utf8')) as object;
  writeFileSync(path, JSON.stringify({ ...config, federation }), { mode: 0o600 });
  return machine(await server.restart());
}

const endpoint = (): string => `${box.server.open}/v1/trust/bundle.json`;
const own = (): string => box.node.trustDomain;
const show = (domain: string): Promise<Federation> => box.server.json<Federation>('federation', 'show', domain);

async function spire(trustDomain: string, options: Pick<SpireOptions, 'profile' | 'env'>): Promise<Spire> {
  const folder = join(box.scratch, trustDomain);
  const started = await startSpire({ program: pathOf(SPIRE), folder, trustDomain, ...options });
  box.atEnd(() => started.program.stop());
  return started;
}

/** Has Writ fetch the bundle at once. */
async function refresh(domain: string): Promise<Federation> {
  const { stdout, stderr } = await box.server.cli('federation', 'refresh', domain, '--json');
  assert.notEqual(stdout, '', stderr);
  return JSON.parse(stdout) as Federation;
}

/** The bundle of Writ as everybody may have it. */
async function published(): Promise<{
  readonly text: string;
  readonly sequence: number;
  readonly jwt: readonly string[];
}> {
  const answer = await box.node.fetch({ allow: 'writ/server' })(`${box.server.api}/v1/trust/bundle.json`);
  const text = await answer.text();
  const { spiffe_sequence: sequence, keys } = JSON.parse(text) as {
    readonly spiffe_sequence: number;
    readonly keys: readonly { readonly use: string; readonly kid?: string }[];
  };
  return { text, sequence, jwt: keys.filter(({ use }) => use === 'jwt-svid').map(({ kid }) => kid!) };
}

test('both ways by https_spiffe, and each sees what the other rotates', { skip }, async () => {
  const partner = await spire('spire.example', { profile: 'https_spiffe' });
  const [ours, theirs] = [join(box.scratch, 'ours.json'), join(box.scratch, 'theirs.json')];

  // SPIRE believes Writ: by the file that it was given first, then by what it fetches.
  const first = await published();
  writeFileSync(ours, first.text);
  const known = ['-trustDomainBundleFormat', 'spiffe', '-trustDomainBundlePath', ours];
  const profile = ['-bundleEndpointProfile', 'https_spiffe', '-endpointSpiffeID', `spiffe://${own()}/writ/server`];
  await partner.cli(
    ...['federation', 'create', '-trustDomain', own(), '-bundleEndpointURL', endpoint()],
    ...[...profile, ...known],
  );
  const taken = await partner.bundle(own());
  assert.deepEqual([taken.hint, taken.jwt], [300, first.jwt]);
  assert.deepEqual(taken.roots, box.node.credential.roots);

  // Writ believes SPIRE.
  const start = await partner.bundle();
  writeFileSync(theirs, start.text);
  const by = ['--profile', 'https_spiffe', '--endpoint-id', 'spiffe://spire.example/spire/server'];
  await box.server.json('federation', 'add', 'spire.example', '--url', partner.url, ...by, '--bundle-file', theirs);
  const fetched = await eventually(async () => {
    const found = await show('spire.example');
    return found.good_at === undefined ? undefined : found;
  });
  assert.deepEqual(
    [fetched.status, fetched.roots.length, fetched.jwt_keys, fetched.sequence, fetched.refresh_hint],
    ['good', 1, start.jwt, start.sequence, 120],
  );

  // Writ makes another key of tokens, at once for one that was stolen.
  await box.server.json('ca', 'rotate-jwt-key', '--at-once');
  const second = await eventually(async () => {
    const now = await published();
    return now.jwt[0] === first.jwt[0] ? undefined : now;
  });
  assert.ok(second.sequence > first.sequence);
  await partner.cli('federation', 'refresh', '-id', own());
  const seen = await eventually(async () => {
    const now = await partner.bundle(own());
    return now.jwt.join() === second.jwt.join() ? now : undefined;
  });
  assert.deepEqual(seen.roots, box.node.credential.roots);

  // SPIRE makes another root, has it sign, and lets go of the one by which its endpoint was known.
  const x509 = async (...command: readonly string[]): Promise<Authorities> =>
    JSON.parse(await partner.cli('localauthority', 'x509', ...command, '-output', 'json')) as Authorities;
  const old = (await x509('show')).active!.authority_id;
  const next = (await x509('prepare')).prepared_authority!.authority_id;
  const both = await refresh('spire.example');
  assert.deepEqual([both.status, both.roots.length], ['good', 2]);
  assert.ok(both.sequence! > fetched.sequence!);
  const root = (await partner.bundle()).roots.find((pem) => !start.roots.includes(pem))!;
  await x509('activate', '-authorityID', next);
  await x509('taint', '-authorityID', old);
  await eventually(async () => ((await isShownBelow(partner, root)) ? true : undefined), partner.program.said);
  await x509('revoke', '-authorityID', old);
  const after = await refresh('spire.example');
  assert.deepEqual([after.status, after.roots], ['good', both.roots.filter((one) => !fetched.roots.includes(one))]);

  await partner.program.stop();
  const away = await refresh('spire.example');
  assert.deepEqual([away.status, away.fault, away.roots], ['failing', 'unreachable', after.roots]);
});

interface Authorities {
  readonly active?: { readonly authority_id: string };
  readonly prepared_authority?: { readonly authority_id: string };
}

/** Whether the endpoint's certificate is signed by this root. */
async function isShownBelow({ url }: Spire, root: string): Promise<boolean> {
  const { hostname, port } = new URL(url);
  const far = connectTls({ host: hostname, port: Number(port), rejectUnauthorized: false });
  await once(far, 'secureConnect');
  const shown = far.getPeerX509Certificate()!;
  far.destroy();
  return shown.verify(new X509Certificate(root).publicKey);
}

test('both ways by https_web, each by the authority that it was told of; a name of nobody’s is refused', {
  skip,
}, async () => {
  const roots = join(box.scratch, 'writ-root.pem');
  writeFileSync(roots, box.node.credential.roots.join(''));
  const shown = web.leaf({ uri: 'https://localhost/', dns: ['localhost'] });
  const partner = await spire('web.example', {
    profile: { certificate: shown.pem, key: shown.keyPem },
    env: { SSL_CERT_FILE: roots },
  });
  const profile = ['-bundleEndpointProfile', 'https_web'];
  await partner.cli('federation', 'create', '-trustDomain', own(), '-bundleEndpointURL', endpoint(), ...profile);
  await partner.cli('federation', 'refresh', '-id', own());
  const { jwt } = await published();
  const taken = await eventually(() => partner.bundle(own()).catch(() => undefined), partner.program.said);
  assert.deepEqual([taken.jwt, taken.roots], [jwt, box.node.credential.roots]);

  await box.server.json('federation', 'add', 'web.example', '--url', partner.url, '--profile', 'https_web');
  const fetched = await eventually(async () => {
    const found = await show('web.example');
    return found.status === 'waiting' && found.fault === undefined ? undefined : found;
  });
  const { sequence: theirs, jwt: keys } = await partner.bundle();
  assert.deepEqual([fetched.status, fetched.sequence, fetched.jwt_keys], ['good', theirs, keys]);

  const nameless = partner.url.replace('localhost', '127.0.0.1');
  await box.server.json('federation', 'remove', 'web.example', '--yes');
  await box.server.json('federation', 'add', 'web.example', '--url', nameless, '--profile', 'https_web');
  const refused = await eventually(async () => {
    const found = await show('web.example');
    return found.fault === undefined ? undefined : found;
  });
  assert.deepEqual([refused.status, refused.fault], ['refused', 'identity']);
});

test('workloads of both trust domains talk mutual TLS and believe each other’s tokens', { skip }, async () => {
  const partner = await spire('work.example', { profile: 'https_spiffe' });
  const [ours, theirs] = [join(box.scratch, 'ours.json'), join(box.scratch, 'theirs.json')];
  writeFileSync(ours, (await published()).text);
  await partner.cli('bundle', 'set', '-id', `spiffe://${own()}`, '-path', ours, '-format', 'spiffe');
  writeFileSync(theirs, (await partner.bundle()).text);
  const by = ['--profile', 'https_spiffe', '--endpoint-id', 'spiffe://work.example/spire/server'];
  await box.server.json('federation', 'add', 'work.example', '--url', partner.url, ...by, '--bundle-file', theirs);
  await box.entry('planner', realpathSync(process.execPath), '--federates-with', 'work.example');
  const planner = await fromWorkloadApi({ socket: box.socket, federation: true });
  box.atEnd(() => planner.close());
  await eventually(() => (planner.federated.has('work.example') ? true : undefined));

  const id = 'spiffe://work.example/reports';
  const folder = join(box.scratch, 'minted');
  mkdirSync(folder);
  await partner.cli('x509', 'mint', '-spiffeID', id, '-write', folder);
  const [cert, key] = ['svid.pem', 'key.pem'].map((name) => readFileSync(join(folder, name)));
  const reports = { cert, key, ca: [...(await partner.bundle(own())).roots] };

  // SPIRE's workload serves, ours calls.
  const listener = createServer({ ...reports, requestCert: true }, (peer) => peer.end(nameOf(peer)));
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  box.atEnd(() => listener.close());
  const { port } = listener.address() as AddressInfo;
  const call = (allow: string) => connectTls({ host: '127.0.0.1', port, ...planner.clientOptions({ allow }) });
  const [heard] = (await once(call(id), 'data')) as [Buffer];
  assert.equal(heard.toString(), `URI:${planner.spiffeId}`);
  await assert.rejects(once(call('spiffe://work.example/other'), 'data'));

  // Ours serves, SPIRE's calls.
  const ourListener = createServer(planner.serverOptions(), (peer) => peer.end(nameOf(peer)));
  planner.protect(ourListener, { allow: id });
  await once(ourListener.listen(0, '127.0.0.1'), 'listening');
  box.atEnd(() => ourListener.close());
  const { port: ourPort } = ourListener.address() as AddressInfo;
  const far = connectTls({ host: '127.0.0.1', port: ourPort, ...reports, checkServerIdentity: () => undefined });
  const [answer] = (await once(far, 'data')) as [Buffer];
  assert.equal(answer.toString(), `URI:${id}`);

  const token = (await partner.cli('jwt', 'mint', '-spiffeID', id, '-audience', 'bank')).trim();
  const validate = jwtValidator({ identity: box.node, audience: 'bank' });
  const decision = await validate(token);
  assert.ok(decision.allowed, JSON.stringify(decision));
  assert.equal(decision.id.uri, id);
  await box.server.json('federation', 'remove', 'work.example', '--yes');
  const gone = await jwtValidator({ identity: box.node, audience: 'bank' })(token);
  assert.deepEqual(gone, { allowed: false, reason: 'trust_domain' });
});

function nameOf(peer: TLSSocket): string {
  return peer.getPeerX509Certificate()?.subjectAltName ?? 'nobody';
}
