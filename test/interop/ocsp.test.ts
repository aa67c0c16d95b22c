/** OCSP answers as documents, judged by code that nobody here wrote. What they say of each status: agreement.test.ts. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { STATUSES, type StatusSite, statusSite } from './status-site.ts';
import { openssl, pathOf, pkilint, python, skipOf, type Tool, zlint } from './tools.ts';

const run = promisify(execFile);

let made: StatusSite;
before(async () => {
  made = await statusSite();
});
after(() => made.site.close());

async function said(tool: Tool, args: readonly string[]): Promise<string> {
  const running = run(pathOf(tool), args, { timeout: 20_000 });
  running.child.stdin!.end();
  const { stdout, stderr } = await running.catch((error: { stdout: string; stderr: string }) => error);
  return stdout + stderr;
}

const OPENSSL = openssl();
test('OpenSSL agrees on the authorities, each by the one above', { skip: skipOf(OPENSSL) }, async () => {
  const { site, members } = made;
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

test('a question that somebody signed is answered like any other', { skip: skipOf(OPENSSL) }, async () => {
  const { site, members } = made;
  const about = ['-issuer', site.issuing, '-cert', members.held.certificate, '-url', `${site.url}/ocsp`];
  // By a certificate that may ask nothing of anybody: that of a client that is revoked.
  const signer = ['-signer', members.revoked.certificate, '-signkey', members.revoked.key];
  const text = await said(OPENSSL, ['ocsp', '-CAfile', site.authorities, '-nonce', ...signer, ...about]);
  assert.match(text, /Response verify OK/);
  assert.match(text, /: revoked\n(.*\n){2}\tReason: certificateHold/);
});

/** Files with an answer about each status, with and without a nonce, and with one about all. */
async function answers(): Promise<string[]> {
  const { site, members } = made;
  const files: string[] = [];
  const questions = [...STATUSES.map((status) => [members[status]]), STATUSES.map((status) => members[status])];
  for (const [at, asked] of questions.entries()) {
    for (const options of [['-no_nonce'], ['-sha256', '-nonce']]) {
      const file = join(site.folder, `answer-${at}${options.at(-1)}`);
      const about = asked.flatMap(({ certificate }) => ['-cert', certificate]);
      const args = ['ocsp', '-CAfile', site.authorities, '-issuer', site.issuing, ...options, ...about];
      await run(pathOf(OPENSSL), [...args, '-url', `${site.url}/ocsp`, '-respout', file]);
      files.push(file);
    }
  }
  return files;
}

const PKILINT = pkilint();
test('pkilint finds nothing in any answer', { skip: skipOf(PKILINT) || skipOf(OPENSSL) }, async () => {
  const files = await answers();
  const args = [join(import.meta.dirname, 'python/lint-ocsp.py'), ...files];
  const lines = (await run(pathOf(python()), args)).stdout.trim().split('\n');
  assert.equal(lines.length, files.length);
  for (const line of lines) assert.deepEqual(JSON.parse(line).results, []);
});

const ZLINT = zlint();
test('zlint finds nothing in any answer', { skip: skipOf(ZLINT) || skipOf(OPENSSL) }, async () => {
  // It reads none that is about several certificates.
  const files = (await answers()).slice(0, 2 * STATUSES.length);
  for (const file of files) {
    const { stdout } = await run(pathOf(ZLINT), ['-format', 'der', file]);
    const results = Object.entries(JSON.parse(stdout) as Record<string, { result: string }>);
    assert.deepEqual(
      results.filter(([, { result }]) => result !== 'NA'),
      [['e_this_update_not_after_produced_at', { result: 'pass' }]],
      file,
    );
  }
});
