/** OCSP answers, judged by clients that nobody here wrote: all of them must say what the store says. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { encodePem } from '../../src/der/pem.ts';
import { issueServerCertificate } from '../../src/issuance/server.ts';
import { parseOcspResponse } from '../../src/x509/ocsp-response.ts';
import { newKey, SYSTEM } from '../installation.ts';
import { type Member, type OcspSite, ocspSite } from '../ocsp-site.ts';
import { go, nginx, ocsptool, openssl, pathOf, pkilint, python, skipOf, type Tool } from './tools.ts';

const run = promisify(execFile);

const STATES = ['good', 'held', 'revoked', 'unknown'] as const;
type State = (typeof STATES)[number];

let site: OcspSite;
let members: Record<State, Member>;

before(async () => {
  site = await ocspSite();
  const [good, held, revoked] = [await site.member('good'), await site.member('held'), await site.member('revoked')];
  members = { good, held, revoked, unknown: await site.stranger() };
  await site.hold(held);
  await site.revoke(revoked);
});
after(() => site.close());

/** Runs a judge, whatever it says. */
async function said(tool: Tool, args: readonly string[]): Promise<string> {
  const running = run(pathOf(tool), args, { timeout: 20_000 });
  running.child.stdin!.end();
  const { stdout, stderr } = await running.catch((error: { stdout: string; stderr: string }) => error);
  return stdout + stderr;
}

const OPENSSL = openssl();
const WORDS: Readonly<Record<State, RegExp>> = {
  good: /: good\n\tThis Update/,
  held: /: revoked\n\tThis Update: .*\n\tNext Update: .*\n\tReason: certificateHold\n/,
  revoked: /: revoked\n\tThis Update: .*\n\tNext Update: .*\n\tReason: keyCompromise\n/,
  unknown: /: unknown\n/,
};

/** The question that OpenSSL makes, and the answer to it as GET has it. */
async function get(state: State, options: readonly string[] = []): Promise<{ answer: string }> {
  const question = join(site.folder, `${state}.req`);
  const answer = join(site.folder, `${state}.resp`);
  const { certificate } = members[state];
  await run(pathOf(OPENSSL), ['ocsp', '-issuer', site.issuing, ...options, '-cert', certificate, '-reqout', question]);
  const encoded = encodeURIComponent(readFileSync(question).toString('base64'));
  const response = await fetch(`${site.url}/ocsp/${encoded}`);
  assert.equal(response.headers.get('content-type'), 'application/ocsp-response');
  writeFileSync(answer, new Uint8Array(await response.arrayBuffer()));
  return { answer };
}

const about = (...options: string[]) => [
  'ocsp',
  '-CAfile',
  site.authorities,
  '-issuer',
  site.issuing,
  ...options,
  ...STATES.flatMap((state) => ['-cert', members[state].certificate]),
];

for (const [name, options] of [
  ['with a nonce', ['-nonce']],
  ['without', ['-no_nonce']],
  ['by SHA-256', ['-sha256', '-nonce']],
] as const) {
  test(`OpenSSL agrees on several serials in one question, ${name}`, { skip: skipOf(OPENSSL) }, async () => {
    const text = await said(OPENSSL, [...about(...options), '-url', `${site.url}/ocsp`]);
    assert.match(text, /Response verify OK/);
    assert.doesNotMatch(text, /WARNING|[Ee]rror/);
    for (const state of STATES) {
      const own = text.slice(text.indexOf(`${members[state].certificate}:`));
      assert.match(own.slice(0, own.indexOf('Update') + 200), WORDS[state], state);
      assert.match(own, new RegExp(`^${members[state].certificate}${WORDS[state].source}`), state);
    }
  });
}

test('OpenSSL agrees on answers by GET', { skip: skipOf(OPENSSL) }, async () => {
  for (const state of STATES) {
    for (const options of [['-no_nonce'], ['-sha256', '-nonce']]) {
      const { answer } = await get(state, options);
      const hash = options.slice(0, -1);
      const args = ['ocsp', '-CAfile', site.authorities, '-issuer', site.issuing, ...hash, '-no_nonce'];
      const text = await said(OPENSSL, [...args, '-cert', members[state].certificate, '-respin', answer]);
      assert.match(text, /Response verify OK/, state);
      assert.match(text, WORDS[state], state);
    }
  }
});

test('OpenSSL agrees on the authorities, each by the one above', { skip: skipOf(OPENSSL) }, async () => {
  for (const [certificate, issuer] of [
    [site.issuing, site.intermediate],
    [site.intermediate, site.root],
  ] as const) {
    const args = ['ocsp', '-CAfile', site.authorities, '-issuer', issuer, '-cert', certificate];
    const text = await said(OPENSSL, [...args, '-url', `${site.url}/ocsp`]);
    assert.match(text, /Response verify OK/);
    assert.match(text, /: good/);
  }
  const args = ['ocsp', '-noverify', '-issuer', members.good.certificate, '-cert', members.held.certificate];
  assert.match(await said(OPENSSL, [...args, '-url', `${site.url}/ocsp`]), /unauthorized \(6\)/);
});

const GNUTLS = ocsptool();
/**
 * GnuTLS knows no name constraints on URIs, and so takes no chain below authorities that have them; the answer itself it
 * verifies under the certificate that came with it. OpenSSL and Go above and below verify that one under its issuer.
 */
test('GnuTLS agrees, and verifies each answer', { skip: skipOf(GNUTLS) || skipOf(OPENSSL) }, async () => {
  for (const state of STATES) {
    const { answer } = await get(state, ['-no_nonce']);
    const parsed = parseOcspResponse(readFileSync(answer));
    assert.ok(parsed.kind === 'basic');
    const signer = join(site.folder, 'responder.pem');
    writeFileSync(signer, encodePem('CERTIFICATE', parsed.basic.certificates[0]!));
    const status = { good: 'good', held: 'revoked', revoked: 'revoked', unknown: 'unknown' }[state];
    const asked = ['--load-cert', members[state].certificate, '--load-issuer', site.issuing];
    for (const source of [
      ['--verify-response', '--load-response', answer],
      [`--ask=${site.url}/ocsp`, '--nonce', ...asked],
    ]) {
      const text = await said(GNUTLS, [...source, '--load-signer', signer]);
      assert.match(text, /Verifying OCSP Response: Success/, state);
      assert.match(text, new RegExp(`Certificate Status: ${status}`), state);
    }
  }
});

const GO = go();
test('Go agrees, and verifies each answer', { skip: skipOf(GO) || skipOf(OPENSSL) }, async () => {
  const program = join(site.folder, 'judge');
  await run(pathOf(GO), ['build', '-o', program, './ocsp'], { cwd: join(import.meta.dirname, 'go') });
  const cases: string[] = [];
  for (const state of STATES) {
    const { answer } = await get(state, ['-no_nonce']);
    cases.push(JSON.stringify({ response: answer, cert: members[state].certificate, issuer: site.issuing }));
  }
  const judge = spawn(program, { stdio: ['pipe', 'pipe', 'inherit'] });
  judge.stdin.end(`${cases.join('\n')}\n`);
  const verdicts = (await judge.stdout.toArray()).join('').trim().split('\n');
  assert.equal(verdicts[0], 'good');
  assert.match(verdicts[1]!, /^revoked 6 \d+$/);
  assert.match(verdicts[2]!, /^revoked 1 \d+$/);
  assert.equal(verdicts[3], 'unknown');
});

const PKILINT = pkilint();
test('pkilint finds nothing in any answer', { skip: skipOf(PKILINT) || skipOf(OPENSSL) }, async () => {
  const files: string[] = [];
  for (const state of STATES) {
    for (const options of [['-no_nonce'], ['-sha256', '-nonce']]) {
      const { answer } = await get(state, options);
      const file = `${answer}-${options.at(-1)}`;
      writeFileSync(file, readFileSync(answer));
      files.push(file);
    }
  }
  const args = [join(import.meta.dirname, 'python/lint-ocsp.py'), ...files];
  const lines = (await run(pathOf(python()), args)).stdout.trim().split('\n');
  assert.equal(lines.length, files.length);
  for (const line of lines) assert.deepEqual(JSON.parse(line).results, []);
});

const NGINX = nginx();
test('nginx with ssl_ocsp lets in whom the store lets in', { skip: skipOf(NGINX) }, async () => {
  await withNginx(async (port) => {
    for (const state of STATES) {
      const { status, body } = await visit(port, members[state]);
      assert.equal(status, state === 'good' ? 200 : 400, `${state}: ${body}`);
    }
    // A certificate that was let in is refused once it is revoked.
    const late = await site.member('late');
    assert.equal((await visit(port, late)).status, 200);
    await site.revoke(late);
    assert.equal((await visit(port, late)).status, 400);
  });
});

/** nginx that asks for the status of the whole chain of its clients, on a free port. */
async function withNginx(visitAll: (port: number) => Promise<void>): Promise<void> {
  const prefix = join(site.folder, 'nginx');
  mkdirSync(join(prefix, 'logs'), { recursive: true });
  const key = newKey();
  const wish = { dnsNames: ['localhost'] };
  const own = await issueServerCertificate(SYSTEM, { csr: await key.csr(), wish }, site.installation.issuance);
  writeFileSync(join(prefix, 'server.key'), key.key.export({ type: 'pkcs8', format: 'pem' }) as string);
  writeFileSync(
    join(prefix, 'server.pem'),
    [own.der, ...own.chain].map((der) => encodePem('CERTIFICATE', der)).join(''),
  );
  const port = await freePort();
  writeFileSync(
    join(prefix, 'nginx.conf'),
    `daemon off; master_process off; pid ${prefix}/pid; error_log ${prefix}/logs/error.log info;
events { }
http {
  access_log off;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${prefix}/${name};`).join('\n  ')}
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${prefix}/server.pem;
    ssl_certificate_key ${prefix}/server.key;
    ssl_client_certificate ${site.authorities};
    ssl_verify_client on;
    ssl_verify_depth 4;
    ssl_ocsp on;
    ssl_ocsp_responder ${site.url}/ocsp;
    ssl_session_cache off;
    ssl_session_tickets off;
    location / { return 200 "in"; }
  }
}
`,
  );
  const process = spawn(pathOf(NGINX), ['-p', prefix, '-c', join(prefix, 'nginx.conf'), '-e', 'logs/error.log']);
  const ended = once(process, 'exit');
  try {
    await listening(port, () => process.exitCode !== null, prefix);
    await visitAll(port);
  } finally {
    process.kill('SIGKILL');
    await ended;
  }
}

function visit(port: number, { chain, key }: Member): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const tls = { cert: readFileSync(chain), key: readFileSync(key), ca: readFileSync(site.root) };
    const sent = request({ host: '127.0.0.1', port, servername: 'localhost', agent: false, ...tls }, (response) => {
      const whole = (pieces: unknown[]) => resolve({ status: response.statusCode!, body: pieces.join('') });
      response.toArray().then(whole, reject);
    });
    sent.on('error', reject);
    sent.end();
  });
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as { port: number };
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

async function listening(port: number, ended: () => boolean, prefix: string): Promise<void> {
  for (let i = 0; i < 200; i++) {
    if (ended()) break;
    const open = await fetch(`http://127.0.0.1:${port}/`).then(
      () => true,
      () => false,
    );
    if (open) return;
    await sleep(50);
  }
  throw new Error(`nginx does not listen: ${readFileSync(join(prefix, 'logs/error.log'), 'utf8')}`);
}
