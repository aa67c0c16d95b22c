/** What Writ issues, judged by code that nobody here wrote. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { decodePemBlocks } from '../../src/der/pem.ts';
import { KEY_ALGORITHMS } from '../../src/keys/generate.ts';
import { type Certificate, parseCertificate } from '../../src/x509/certificate.ts';
import { RFC5280 } from '../../src/x509/path/policy.ts';
import { validatePath } from '../../src/x509/path/validate.ts';
import { BELOW, forge, type Issued, issueAll, NAME_CASES, type NameCase, scratchFolder } from './certificates.ts';
import { go, openssl, pathOf, pkilint, python, skipOf, zlint } from './tools.ts';

/** Of Debian's OpenSSL 3.0, of Go and of zlint: no ML-DSA. */
const CLASSICAL = ['ecdsa-p256', 'ecdsa-p384', 'ed25519'];

const scratch = scratchFolder();
after(scratch.remove);
const issued: Issued[] = [];
const forged: (NameCase & { root: string; untrusted: string; leaf: string })[] = [];

before(async () => {
  for (const algorithm of KEY_ALGORITHMS) issued.push(await issueAll(algorithm, scratch.path));
  for (const one of NAME_CASES) forged.push({ ...one, ...(await forge(one.scope, one.names, scratch.path)) });
});

const authoritiesOf = ({ root, intermediate, issuing }: Issued): string[] => [root, intermediate, issuing];
const everything = (): string[] => issued.flatMap((chain) => [...authoritiesOf(chain), ...Object.values(chain.leaves)]);

const OPENSSL = openssl();
test('OpenSSL accepts every chain, strictly, with and without lists', { skip: skipOf(OPENSSL) }, () => {
  for (const { algorithm, root, untrusted, leaves, crls } of issued) {
    if (!CLASSICAL.includes(algorithm)) continue;
    for (const leaf of Object.values(leaves)) {
      for (const purpose of ['sslserver', 'sslclient']) {
        for (const lists of [[], ['-crl_check_all', '-CRLfile', crls]]) {
          const args = [
            'verify',
            '-x509_strict',
            '-purpose',
            purpose,
            ...lists,
            '-CAfile',
            root,
            '-untrusted',
            untrusted,
          ];
          const run = spawnSync(pathOf(OPENSSL), [...args, leaf], { encoding: 'utf8' });
          assert.equal(run.stdout.trim(), `${leaf}: OK`, `${algorithm} ${purpose}: ${run.stderr}`);
        }
      }
    }
  }
});

test('OpenSSL accepts each authority as what it is', { skip: skipOf(OPENSSL) }, () => {
  for (const { algorithm, root, intermediate, untrusted } of issued) {
    if (!CLASSICAL.includes(algorithm)) continue;
    for (const authority of [root, intermediate, untrusted]) {
      const args = ['verify', '-x509_strict', '-CAfile', root, '-untrusted', untrusted, authority];
      execFileSync(pathOf(OPENSSL), args, { stdio: 'pipe' });
    }
  }
});

test('OpenSSL keeps the name constraints as they are meant', { skip: skipOf(OPENSSL) }, () => {
  const verdicts = forged.map(({ name, root, untrusted, leaf }) => {
    const args = ['verify', '-x509_strict', '-CAfile', root, '-untrusted', untrusted, leaf];
    return [name, spawnSync(pathOf(OPENSSL), args).status === 0];
  });
  assert.deepEqual(
    verdicts,
    forged.map(({ name, valid }) => [name, valid]),
  );
});

const GO = go();
test('our own path validation keeps the name constraints as the others do', () => {
  const read = (path: string): Certificate[] =>
    decodePemBlocks(readFileSync(path, 'utf8')).map(({ der }) => parseCertificate(der));
  for (const { name, valid, root, untrusted, leaf } of forged) {
    const result = validatePath({
      ...{ leaf: read(leaf)[0]!, intermediates: read(untrusted), anchors: read(root) },
      ...{ at: Date.now(), policy: RFC5280 },
    });
    assert.equal(result.valid, valid, name);
  }
});

test('Go reads every certificate, verifies what it knows, and keeps the constraints', { skip: skipOf(GO) }, () => {
  const program = join(scratch.path, 'judge');
  execFileSync(pathOf(GO), ['build', '-o', program, '.'], { cwd: join(import.meta.dirname, 'go-x509') });
  const judge = (cases: readonly object[]): string[] => {
    const input = cases.map((item) => `${JSON.stringify(item)}\n`).join('');
    return execFileSync(program, { input, encoding: 'utf8' }).trim().split('\n');
  };
  const context = ['monthly-close', 'T-1', '07'.repeat(32), 'ledger.read', 'mail.send'];
  const shows = { agent: [1, 0, 0], operator: [1, 0, 0], service: [1, 2, 2], server: [1, 2, 2] };
  const cases = issued.flatMap(({ algorithm, root, untrusted, leaves }) =>
    Object.entries(leaves).map(([profile, leaf]) => ({
      title: `${algorithm} ${profile}`,
      want: CLASSICAL.includes(algorithm) ? 'valid' : 'parsed',
      names: shows[profile as keyof typeof shows],
      ...{ root, untrusted, leaf },
      ...(profile === 'agent' ? { context } : {}),
      ...(profile === 'service' ? { dnsName: 'a.corp.example' } : {}),
      ...(profile === 'server' ? { dnsName: '127.0.0.1' } : {}),
    })),
  );
  const verdicts = judge(cases);
  assert.deepEqual(
    verdicts.map((verdict, i) => `${cases[i]!.title}: ${verdict}`),
    cases.map(({ title, want }) => `${title}: ${want}`),
  );
  const files = forged.map(({ root, untrusted, leaf }) => ({ root, untrusted, leaf }));
  const names = judge(files).map((verdict, i) => `${forged[i]!.name}: ${verdict.split(':')[0]}`);
  assert.deepEqual(
    names,
    forged.map(({ name, valid, but }) => `${name}: ${valid || but?.includes('go') === true ? 'valid' : 'invalid'}`),
  );
});

/** What Go's path validation takes, SPIFFE's does not: each trust domain is judged by its own roots. */
test('go-spiffe accepts our SVIDs, and none of a trust domain below under our root', { skip: skipOf(GO) }, async () => {
  const program = join(scratch.path, 'judge-svid');
  execFileSync(pathOf(GO), ['build', '-o', program, '.'], { cwd: join(import.meta.dirname, 'go-svid') });
  const judge = ({ root, untrusted, leaf }: { root: string; untrusted: string; leaf: string }): string => {
    const input = JSON.stringify({ trustDomain: 'agents.example.com', root, untrusted, leaf });
    return execFileSync(program, { input, encoding: 'utf8' }).trim();
  };
  for (const { algorithm, leaves, ...authorities } of issued) {
    if (!CLASSICAL.includes(algorithm)) continue;
    for (const leaf of Object.values(leaves)) {
      assert.match(judge({ ...authorities, leaf }), /^valid spiffe:\/\/agents\.example\.com\//, leaf);
    }
  }
  assert.match(judge(await forge({}, [], scratch.path, BELOW)), /^invalid: .*no X\.509 bundle for trust domain/);
  assert.match(judge(await forge({}, [], scratch.path, 'spiffe://example.org/agent/x')), /^invalid: /);
});

const PYTHON = python();
test('Python verifies every signature, ML-DSA included', { skip: skipOf(PYTHON) }, () => {
  for (const { algorithm, root, untrusted, leaves } of issued) {
    const args = [join(import.meta.dirname, 'python/chains.py'), root, untrusted, ...Object.values(leaves)];
    const run = spawnSync(pathOf(PYTHON), args, { encoding: 'utf8' });
    assert.equal(run.stdout, 'verified 4\n', `${algorithm}: ${run.stderr}`);
  }
});

const ZLINT = zlint();
test('zlint finds nothing by the RFCs', { skip: skipOf(ZLINT) }, () => {
  const sources = 'RFC3279,RFC5280,RFC5480,RFC5891,RFC6962,RFC8813';
  for (const path of everything()) {
    const report = execFileSync(pathOf(ZLINT), ['-includeSources', sources, path], { encoding: 'utf8' });
    const results = Object.entries(JSON.parse(report) as Record<string, { result: string }>);
    assert.ok(results.filter(([, { result }]) => result === 'pass').length > 20, report);
    const findings = results.filter(([, { result }]) => ['error', 'fatal', 'warn'].includes(result));
    assert.deepEqual(findings, [], path);
  }
});

/**
 * pkilint asks a Python package whether a URI is well formed, and that one knows nine schemes, of which `spiffe` is
 * none; and whether a DNS name is, and that one wants two labels. Both are as SPIFFE and RFC 1034 want them.
 */
const UNKNOWN_TO_PKILINT = [
  /^pkix\.invalid_uri_syntax Invalid URI syntax: "spiffe:\/\/agents\.example\.com(\/[a-z0-9/]+)?"$/,
  /^pkix\.invalid_domain_name_syntax Invalid domain name syntax: "localhost"$/,
];

interface PkilintReport {
  readonly results: readonly { readonly finding_descriptions: readonly { code: string; message: string }[] }[];
}

const PKILINT = pkilint();
test('pkilint finds no error but in names that it does not know', { skip: skipOf(PKILINT) }, () => {
  const files = everything();
  const args = [join(import.meta.dirname, 'python/lint.py'), ...files];
  const lines = execFileSync(pathOf(PYTHON), args, { encoding: 'utf8' }).trim().split('\n');
  assert.equal(lines.length, files.length);
  for (const [i, line] of lines.entries()) {
    const { results } = JSON.parse(line) as PkilintReport;
    const findings = results.flatMap((result) =>
      result.finding_descriptions.map(({ code, message }) => `${code} ${message}`),
    );
    const surprising = findings.filter((finding) => !UNKNOWN_TO_PKILINT.some((known) => known.test(finding)));
    assert.deepEqual(surprising, [], files[i]!);
    // What it is known to find shows that it looked.
    assert.ok(findings.length > 0, files[i]!);
  }
});
