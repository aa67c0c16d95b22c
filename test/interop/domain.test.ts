/** What is below the root of a further trust domain, judged by OpenSSL and by Go: names of its own, and never one of ours. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openSqlite } from '../../src/db/sqlite.ts';
import { encodePem } from '../../src/der/pem.ts';
import { createDomain } from '../../src/spiffe/domain/create.ts';
import { signDomainAuthority } from '../../src/spiffe/domain/sign.ts';
import { OTHER, PROFILE, request, setUp } from '../../src/spiffe/testdata/domain-world.ts';
import { noOpenssl, openssl } from '../../src/x509/testdata/openssl.ts';
import { ADA } from '../installation.ts';
import { certificate, type Wanted } from '../spiffe-conformance/certificate.ts';
import { go, pathOf, skipOf } from './tools.ts';

const scratch = mkdtempSync(join(tmpdir(), 'writ-domain-'));
after(() => rmSync(scratch, { recursive: true }));
const at = (name: string): string => join(scratch, name);

const OURS = 'spiffe://agents.example.com/agent/planner/01jd0000000000000000000000';
const THEIRS = `spiffe://${OTHER}/web`;

const CASES: Readonly<Record<string, Wanted & { readonly valid?: true }>> = {
  'an id of its own': { uris: [THEIRS], valid: true },
  'an id and a DNS name of its own': { uris: [THEIRS], dns: [`web.${OTHER}`], valid: true },
  'an id of ours': { uris: [OURS] },
  'both ids': { uris: [THEIRS, OURS] },
  'a DNS name of ours beside an id of its own': { uris: [THEIRS], dns: ['planner.agents.example.com'] },
  'a DNS name of ours that --permit-dns gives': { uris: [THEIRS], dns: ['db.corp.example'] },
  'any other DNS name': { uris: [THEIRS], dns: ['localhost'] },
  'a domain that ends like its own': { uris: [`spiffe://x${OTHER}/web`] },
  'an address of ours': { uris: ['spiffe://127.0.0.1/x'] },
};

test('OpenSSL and Go take names of its own, and none of ours', { skip: noOpenssl }, async () => {
  const { installation, parts } = await setUp(async () => openSqlite({ path: at('writ.db') }));
  const made = await createDomain(ADA, { trustDomain: OTHER, profile: PROFILE }, parts);
  const { key, csr } = await request();
  const { authority, above } = await signDomainAuthority(ADA, { trustDomain: OTHER, csr }, parts);
  const pem = (one: typeof authority): string => encodePem('CERTIFICATE', one.certificate.raw);
  const root = pem(made.authorities.find(({ kind }) => kind === 'root')!);
  const untrusted = pem(authority) + pem(above.find(({ kind }) => kind === 'intermediate')!);
  await installation.close();
  const by = { key, subject: authority.certificate.subject.raw };
  writeFileSync(at('root'), root);
  writeFileSync(at('untrusted'), untrusted);

  const byOpenssl = (leaf: string, more = ''): string => {
    try {
      const files = { root, above: untrusted + more, leaf };
      return openssl(['verify', '-x509_strict', '-CAfile', 'root', '-untrusted', 'above', 'leaf'], files)
        .toString()
        .trim();
    } catch (error) {
      return (error as Error).message;
    }
  };
  const lines: string[] = [];
  for (const [name, { valid, ...wanted }] of Object.entries(CASES)) {
    const leaf = certificate({ ...wanted, by }).pem;
    const said = byOpenssl(leaf);
    if (valid) assert.equal(said, 'leaf: OK', name);
    else assert.match(said, /permitted subtree violation|unsupported name constraint/, name);
    const file = at(`leaf-${lines.length}`);
    writeFileSync(file, leaf);
    lines.push(JSON.stringify({ root: at('root'), untrusted: at('untrusted'), leaf: file }));
  }
  // A name that old programs look for where there is no other.
  assert.match(
    byOpenssl(certificate({ subject: 'planner.agents.example.com', by }).pem),
    /permitted subtree violation/,
  );
  // One level more.
  const below = certificate({ ca: true, uris: [`spiffe://${OTHER}`], by });
  assert.match(byOpenssl(certificate({ uris: [THEIRS], by: below }).pem, below.pem), /path length constraint exceeded/);

  const GO = go();
  if (skipOf(GO) !== false) return;
  execFileSync(pathOf(GO), ['build', '-o', at('judge'), '.'], { cwd: join(import.meta.dirname, 'go-x509') });
  const verdicts = execFileSync(at('judge'), { input: `${lines.join('\n')}\n`, encoding: 'utf8' })
    .trim()
    .split('\n');
  for (const [i, [name, { valid }]] of Object.entries(CASES).entries()) {
    assert.match(verdicts[i]!, valid ? /^valid$/ : /^invalid: .*(not permitted|excluded|cannot be matched)/, name);
  }
});
