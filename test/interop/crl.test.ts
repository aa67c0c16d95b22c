/** Revocation lists as documents, judged by code that nobody here wrote. What they say of each status: agreement.test.ts. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { BELOW, type ListFile, STATUSES, type Status, type StatusSite, statusSite } from './status-site.ts';
import { certtool, go, openssl, pathOf, pkilint, python, skipOf, zlint } from './tools.ts';

let made: StatusSite;
before(async () => {
  made = await statusSite();
});
after(() => made.site.close());

/** Every list, by a name that says which. */
function everyList(): [string, ListFile][] {
  const { above, now, before: old } = made;
  const named = (when: string, lists: object) =>
    Object.entries(lists).map(([name, list]): [string, ListFile] => [`${name} ${when}`, list as ListFile]);
  return [...named('above', above), ...named('now', now), ...named('before', old)];
}

const OPENSSL = openssl();
test('OpenSSL verifies every list', { skip: skipOf(OPENSSL) }, () => {
  for (const [name, { pem, issuer }] of everyList()) {
    const args = ['crl', '-in', pem, '-noout', '-text', '-CAfile', issuer];
    const run = spawnSync(pathOf(OPENSSL), args, { encoding: 'utf8' });
    assert.match(run.stderr, /^verify OK$/m, name);
    assert.match(run.stdout, /X509v3 CRL Number/, name);
  }
});

test('OpenSSL believes an older list of a shard until it has the delta', { skip: skipOf(OPENSSL) }, () => {
  const { site, above, members, before: old, now } = made;
  const passes = (lists: readonly ListFile[], options: readonly string[]): Status[] => {
    const file = join(site.folder, 'older.pem');
    writeFileSync(file, [...above, ...lists].map(({ pem }) => readFileSync(pem, 'utf8')).join(''));
    const chain = ['-CAfile', site.root, '-untrusted', site.authorities, '-CRLfile', file];
    return STATUSES.filter((status) => {
      const args = ['verify', '-crl_check_all', '-x509_strict', ...options, ...chain, members[status].certificate];
      return spawnSync(pathOf(OPENSSL), args).status === 0;
    });
  };
  assert.deepEqual(passes([old.shard], ['-extended_crl']), ['good', 'held', 'revoked', 'unknown']);
  // A delta without the list that it adds to is no answer, and neither is a list about another scope.
  assert.deepEqual(passes([now.delta], ['-extended_crl', '-use_deltas']), []);
  assert.deepEqual(passes([], ['-extended_crl']), []);
  assert.deepEqual(passes([old.shard, now.delta], ['-extended_crl', '-use_deltas']), ['good', 'released', 'unknown']);
});

const CERTTOOL = certtool();
test('GnuTLS verifies every list without deltas', { skip: skipOf(CERTTOOL) }, () => {
  for (const [name, { pem, issuer }] of everyList()) {
    if (name.startsWith('delta')) continue;
    const args = ['--verify-crl', '--load-ca-certificate', issuer, '--infile', pem];
    const run = spawnSync(pathOf(CERTTOOL), args, { encoding: 'utf8' });
    assert.equal(run.status, 0, `${name}: ${run.stdout}${run.stderr}`);
    assert.match(run.stdout, /Verification output: (The certificate chain is trusted|Verified)/, name);
  }
});

const GO = go();
test('Go reads every list, its number and its extensions', { skip: skipOf(GO) || skipOf(OPENSSL) }, () => {
  const { site, above, members, before: old, now } = made;
  const program = join(site.folder, 'judge');
  execFileSync(pathOf(GO), ['build', '-o', program, '.'], { cwd: join(import.meta.dirname, 'go-crl') });
  const judge = ({ der, issuer }: ListFile) => {
    const cer = join(site.folder, 'judged-under.cer');
    execFileSync(pathOf(OPENSSL), ['x509', '-in', issuer, '-outform', 'DER', '-out', cer]);
    return JSON.parse(execFileSync(program, [der, cer], { encoding: 'utf8' })) as {
      number: string;
      extensions: string[];
      entries: Record<string, number>;
    };
  };
  const serial = (status: Status): string => Buffer.from(members[status].serial).toString('hex');
  const [aki, number, point] = ['2.5.29.35', '2.5.29.20', '2.5.29.28 critical'];
  const listed = { [serial('revoked')]: 1, [serial('held')]: 6 };
  assert.deepEqual(judge(now.full).entries, listed);
  assert.deepEqual(judge(now.full).extensions, [aki, number]);
  const [shard, delta] = [judge(now.shard), judge(now.delta)];
  assert.deepEqual([shard.entries, shard.extensions], [listed, [aki, number, point, '2.5.29.46']]);
  assert.deepEqual(delta.entries, { ...listed, [serial('released')]: 8 });
  assert.deepEqual(delta.extensions, [aki, number, point, '2.5.29.27 critical']);
  assert.equal(shard.number, delta.number);
  assert.ok(BigInt(judge(old.shard).number) < BigInt(shard.number));
  const issuer = (status: Status): string => made.issuerOf(members[status]);
  const stopped = { [issuer('below a held authority')]: 6, [issuer('below a revoked authority')]: 2 };
  for (const list of above) assert.deepEqual(judge(list).entries, list === made.intermediate ? stopped : {});
  for (const status of BELOW) assert.deepEqual(judge(made.listsOf[status].full).entries, {}, 'not one of each leaf');
});

const ZLINT = zlint();
test('zlint finds nothing in any list', { skip: skipOf(ZLINT) }, () => {
  for (const [name, { pem }] of everyList()) {
    const report = execFileSync(pathOf(ZLINT), ['-includeSources', 'RFC5280', pem], { encoding: 'utf8' });
    const results = Object.entries(JSON.parse(report) as Record<string, { result: string }>);
    assert.ok(
      results.some(([, { result }]) => result === 'pass'),
      report,
    );
    assert.deepEqual(
      results.filter(([, { result }]) => ['error', 'fatal', 'warn'].includes(result)),
      [],
      name,
    );
  }
});

const PKILINT = pkilint();
test('pkilint finds nothing in any list', { skip: skipOf(PKILINT) }, () => {
  for (const [name, { pem }] of everyList()) {
    const type = name.endsWith('above') ? 'ARL' : 'CRL';
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
