/**
 * What GnuTLS makes of chains under our authorities, and why (docs/STATUS.md). It evaluates no URI subtree that is
 * permitted, and takes one that is excluded for the exclusion of every URI. A GnuTLS that knows them may say otherwise.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { issueAll, scratchFolder } from './certificates.ts';
import { certtool, openssl, pathOf, skipOf } from './tools.ts';

const [CERTTOOL, OPENSSL] = [certtool(), openssl()];
const scratch = scratchFolder();
after(scratch.remove);

const REFUSED =
  "Not verified. The certificate is NOT trusted. The certificate chain violates the signer's constraints.";
const TRUSTED = 'Verified. The certificate is trusted.';

/** The last word of `certtool` on a chain. */
function said(args: readonly string[]): string {
  const { stdout } = spawnSync(pathOf(CERTTOOL), args, { encoding: 'utf8' });
  return /^Chain verification output: (.*?)\s*$/m.exec(stdout)?.[1] ?? stdout;
}

test('GnuTLS refuses our chains for the names that they exclude, whatever it is told', {
  skip: skipOf(CERTTOOL),
}, async () => {
  const { root, intermediate, issuing, leaves } = await issueAll('ecdsa-p256', scratch.path);
  const text = (...files: readonly string[]): string => files.map((file) => readFileSync(file, 'utf8')).join('');
  const [whole, below] = [join(scratch.path, 'whole.pem'), join(scratch.path, 'chain.pem')];
  writeFileSync(whole, text(leaves.agent, issuing, intermediate, root));
  writeFileSync(below, text(leaves.agent, issuing, intermediate));
  const expected = said(['--verify-chain', '--infile', whole]);
  assert.ok(expected === REFUSED || expected === TRUSTED, expected);
  for (const [anchor, chain] of [
    [root, below],
    [intermediate, below],
    [issuing, leaves.agent],
  ] as const) {
    for (const options of [
      [],
      ['--verify-profile=low'],
      ['--verify-profile=legacy'],
      ['--verify-allow-broken'],
      ['--verify-purpose=1.3.6.1.5.5.7.3.2'],
    ]) {
      const verdict = said(['--verify', '--load-ca-certificate', anchor, '--infile', chain, ...options]);
      assert.equal(verdict, expected, `${anchor} ${options.join()}`);
    }
  }
});

test('it is the excluded URI that GnuTLS refuses, and no permitted one', {
  skip: skipOf(CERTTOOL) || skipOf(OPENSSL),
}, () => {
  const at = (name: string): string => join(scratch.path, name);
  const make = (...args: string[]) => execFileSync(pathOf(OPENSSL), args, { stdio: 'pipe' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  writeFileSync(at('req.cnf'), '[req]\ndistinguished_name=name\n[name]\n');
  const verdict = (constraints: string): string => {
    const [root, request, leaf] = [at('root.pem'), at('leaf.csr'), at('leaf.pem')];
    const root2 = ['-config', at('req.cnf'), '-subj', '/CN=root', '-keyout', at('root.key'), '-out', root];
    make('req', '-x509', ...key, ...root2, '-addext', 'basicConstraints=critical,CA:TRUE', '-addext', constraints);
    make('req', ...key, '-config', at('req.cnf'), '-subj', '/CN=x', '-keyout', at('leaf.key'), '-out', request);
    writeFileSync(at('leaf.ext'), 'subjectAltName=URI:spiffe://agents.example.com/agent/planner/1\n');
    const signed = ['-CA', root, '-CAkey', at('root.key'), '-extfile', at('leaf.ext')];
    make('x509', '-req', '-in', request, ...signed, '-out', leaf);
    return said(['--verify', '--load-ca-certificate', root, '--infile', leaf]);
  };
  const permitted = 'nameConstraints=critical,permitted;URI:agents.example.com';
  assert.equal(verdict(permitted), TRUSTED);
  assert.match(verdict(`${permitted},excluded;URI:.agents.example.com`), /constraints\.$|is trusted\.$/);
});
