/** Revocation lists, judged by code that nobody here wrote: all agree with what is stored. */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:https';
import { createServer as createListener } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { parseCrl } from '../../src/x509/crl.ts';
import { type ListFile, type Lists, makeLists, type Subject } from './lists.ts';
import { certtool, go, nginx, openssl, pathOf, pkilint, python, skipOf, zlint } from './tools.ts';

let made: Lists;
before(async () => {
  made = await makeLists();
});
after(() => made?.remove());

/** What counts as revoked for whoever knows good and bad alone. */
const refused = ({ status }: Subject): boolean => status === 'revoked' || status === 'held';

const byStatus = (verdict: (subject: Subject) => unknown): Record<string, unknown> =>
  Object.fromEntries(made.subjects.map((subject) => [subject.status, verdict(subject)]));

const STORED = { good: true, held: false, released: true, revoked: false };

const OPENSSL = openssl();
test('OpenSSL verifies every list', { skip: skipOf(OPENSSL) }, () => {
  for (const [name, { pem, issuerPem }] of Object.entries(made.lists)) {
    const args = ['crl', '-in', pem, '-noout', '-text', '-CAfile', issuerPem];
    const run = spawnSync(pathOf(OPENSSL), args, { encoding: 'utf8' });
    assert.match(run.stderr, /^verify OK$/m, name);
    assert.match(run.stdout, /X509v3 CRL Number/, name);
  }
});

/** Whether `openssl verify -x509_strict` lets a certificate pass; throws where it says anything but that it is revoked. */
function verified(subject: Subject, lists: readonly ListFile[], more: readonly string[] = []): boolean {
  const file = join(made.folder, 'lists.pem');
  writeFileSync(file, lists.map(({ pem }) => readFileSync(pem, 'utf8')).join(''));
  const chain = ['-CAfile', made.root, '-untrusted', made.untrusted, '-CRLfile', file];
  const args = ['verify', '-crl_check_all', '-x509_strict', ...more, ...chain, subject.leaf];
  const run = spawnSync(pathOf(OPENSSL), args, { encoding: 'utf8' });
  if (run.status === 0) return true;
  assert.match(run.stderr, /^error 23 at 0 depth lookup: certificate revoked$/m, `${subject.status}: ${run.stderr}`);
  return false;
}

test('OpenSSL agrees by the whole list, by shards, and by an older base with the delta', {
  skip: skipOf(OPENSSL),
}, () => {
  const { root, intermediate, full, shard, shardBefore, delta } = made.lists;
  const above = [root, intermediate];
  const extended = ['-extended_crl'];
  assert.deepEqual(
    byStatus((subject) => verified(subject, [...above, full])),
    STORED,
  );
  assert.deepEqual(
    byStatus((subject) => verified(subject, [...above, shard], extended)),
    STORED,
  );
  const withDelta = [...extended, '-use_deltas'];
  assert.deepEqual(
    byStatus((subject) => verified(subject, [...above, shard, delta], withDelta)),
    STORED,
  );
  const old = { good: true, held: true, released: false, revoked: true };
  assert.deepEqual(
    byStatus((subject) => verified(subject, [...above, shardBefore], extended)),
    old,
  );
  assert.deepEqual(
    byStatus((subject) => verified(subject, [...above, shardBefore, delta], withDelta)),
    STORED,
  );
});

const CERTTOOL = certtool();
test('GnuTLS verifies every list without deltas', { skip: skipOf(CERTTOOL) }, () => {
  for (const name of ['root', 'intermediate', 'full', 'shard'] as const) {
    const { pem, issuerPem } = made.lists[name];
    const args = ['--verify-crl', '--load-ca-certificate', issuerPem, '--infile', pem];
    const run = spawnSync(pathOf(CERTTOOL), args, { encoding: 'utf8' });
    assert.equal(run.status, 0, `${name}: ${run.stdout}${run.stderr}`);
    assert.match(run.stdout, /Verification output: (The certificate chain is trusted|Verified)/, name);
    const shown = execFileSync(pathOf(CERTTOOL), ['--crl-info', '--infile', pem], { encoding: 'utf8' });
    for (const subject of made.subjects) {
      const listed = (name === 'full' || name === 'shard') && refused(subject);
      assert.equal(shown.includes(subject.serial), listed, `${name} ${subject.status}`);
    }
  }
});

const GO = go();
test('Go reads every list, its number and its entries', { skip: skipOf(GO) }, () => {
  const program = join(made.folder, 'judge');
  execFileSync(pathOf(GO), ['build', '-o', program, '.'], { cwd: join(import.meta.dirname, 'go-crl') });
  const judge = (name: keyof Lists['lists']) => {
    const { der, issuer } = made.lists[name];
    return JSON.parse(execFileSync(program, [der, issuer], { encoding: 'utf8' })) as {
      number: string;
      extensions: string[];
      entries: Record<string, number>;
    };
  };
  const serial = (status: Subject['status']): string => made.subjects.find((one) => one.status === status)!.serial;
  const [aki, number, point] = ['2.5.29.35', '2.5.29.20', '2.5.29.28 critical'];
  const now = { [serial('revoked')]: 1, [serial('held')]: 6 };
  assert.deepEqual(judge('full').entries, now);
  assert.deepEqual(judge('full').extensions, [aki, number]);
  const [shard, delta] = [judge('shard'), judge('delta')];
  assert.deepEqual([shard.entries, shard.extensions], [now, [aki, number, point, '2.5.29.46']]);
  assert.deepEqual(delta.entries, { ...now, [serial('released')]: 8 });
  assert.deepEqual(delta.extensions, [aki, number, point, '2.5.29.27 critical']);
  assert.equal(shard.number, delta.number);
  assert.ok(BigInt(judge('shardBefore').number) < BigInt(shard.number));
  assert.deepEqual([judge('root').entries, judge('intermediate').entries], [{}, {}]);
});

const ZLINT = zlint();
test('zlint finds nothing in any list', { skip: skipOf(ZLINT) }, () => {
  for (const { pem } of Object.values(made.lists)) {
    const report = execFileSync(pathOf(ZLINT), ['-includeSources', 'RFC5280', pem], { encoding: 'utf8' });
    const results = Object.entries(JSON.parse(report) as Record<string, { result: string }>);
    assert.ok(
      results.some(([, { result }]) => result === 'pass'),
      report,
    );
    assert.deepEqual(
      results.filter(([, { result }]) => ['error', 'fatal', 'warn'].includes(result)),
      [],
      pem,
    );
  }
});

const PKILINT = pkilint();
test('pkilint finds nothing in any list', { skip: skipOf(PKILINT) }, () => {
  for (const [name, { pem }] of Object.entries(made.lists)) {
    const type = name === 'root' || name === 'intermediate' ? 'ARL' : 'CRL';
    const program = join(pathOf(python()), '..', 'lint_crl');
    const args = ['lint', '--type', type, '--profile', 'PKIX', '--severity', 'WARNING', '--format', 'JSON', pem];
    const run = spawnSync(program, args, { encoding: 'utf8' });
    const { results } = JSON.parse(run.stdout) as { results: { finding_descriptions: { code: string }[] }[] };
    assert.deepEqual(
      results.flatMap((result) => result.finding_descriptions),
      [],
      name,
    );
  }
});

/** All lists that a server of the chain needs, for servers that load a file. */
const serverLists = (): string[] =>
  (['root', 'intermediate', 'full'] as const).map((name) => readFileSync(made.lists[name].pem, 'utf8'));

/** Whether a server lets a client with this certificate in. */
function admitted(port: number, { chain, key }: Subject): Promise<boolean> {
  const options = { cert: readFileSync(chain), key: readFileSync(key), rejectUnauthorized: false, agent: false };
  return new Promise((resolve) => {
    request({ host: '127.0.0.1', port, ...options }, (answer) => resolve(answer.resume().statusCode === 200))
      .on('error', () => resolve(false))
      .end();
  });
}

test('Node refuses whoever is on the list that it loaded', async () => {
  const [good] = made.subjects;
  const server = createServer(
    {
      ...{ cert: readFileSync(good!.chain), key: readFileSync(good!.key), ca: readFileSync(made.root) },
      ...{ crl: serverLists(), requestCert: true, rejectUnauthorized: true },
    },
    (_, response) => response.end('in'),
  );
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as { port: number };
  for (const subject of made.subjects) assert.equal(await admitted(port, subject), !refused(subject), subject.status);
  server.close();
});

const NGINX = nginx();
test('nginx refuses whoever is on the list that it loaded', { skip: skipOf(NGINX) }, async () => {
  const folder = join(made.folder, 'nginx');
  mkdirSync(folder);
  for (const path of [made.folder, folder]) chmodSync(path, 0o755);
  const [good] = made.subjects;
  writeFileSync(join(folder, 'lists.pem'), serverLists().join(''));
  const port = await freePort();
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/error.log;
    events { worker_connections 32; }
    http {
      access_log off;
      client_body_temp_path ${folder}/a; proxy_temp_path ${folder}/b; fastcgi_temp_path ${folder}/c;
      uwsgi_temp_path ${folder}/d; scgi_temp_path ${folder}/e;
      server {
        listen 127.0.0.1:${port} ssl;
        ssl_certificate ${good!.chain}; ssl_certificate_key ${good!.key};
        ssl_client_certificate ${made.root}; ssl_verify_client on; ssl_verify_depth 3;
        ssl_crl ${folder}/lists.pem;
        location / { return 200 in; }
      }
    }`,
  );
  const server = spawn(pathOf(NGINX), ['-c', join(folder, 'nginx.conf'), '-p', folder], { stdio: 'ignore' });
  try {
    for (let tries = 0; tries < 100 && !(await admitted(port, good!)); tries++) await pause(50);
    for (const subject of made.subjects) assert.equal(await admitted(port, subject), !refused(subject), subject.status);
  } finally {
    server.kill();
    await once(server, 'exit');
  }
});

test('our own reader finds what the others find', () => {
  const { shard, delta } = made.lists;
  const entries = ({ der }: ListFile): number => parseCrl(readFileSync(der)).entries.length;
  assert.deepEqual([entries(shard), entries(delta)], [2, 3]);
});

async function freePort(): Promise<number> {
  const listener = createListener().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as { port: number };
  listener.close();
  await once(listener, 'close');
  return port;
}
