/** What `writ trust install` puts into the stores of a machine, and what it never does. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { cli } from '../../../test/server.ts';
import { certificate } from '../../../test/spiffe-conformance/certificate.ts';
import {
  encodeNameConstraints,
  NAME_CONSTRAINTS,
  type NameConstraints,
} from '../../x509/extensions/name-constraints.ts';
import { EXIT } from '../command.ts';

const home = mkdtempSync(join(tmpdir(), 'writ-trust-'));
const { HOME } = process.env;
before(() => {
  process.env['HOME'] = home;
});
after(() => {
  if (HOME === undefined) delete process.env['HOME'];
  else process.env['HOME'] = HOME;
  rmSync(home, { recursive: true });
});

function rootFile(name: string, constraints?: NameConstraints, critical = true): string {
  const value = constraints === undefined ? undefined : encodeNameConstraints(constraints);
  const more = value === undefined ? [] : [{ oid: NAME_CONSTRAINTS, critical, value }];
  const path = join(home, `${name}.pem`);
  writeFileSync(path, certificate({ ca: true, subject: name, more }).pem);
  return path;
}

const NONE4 = { kind: 'ip', value: new Uint8Array(8) } as const;
const NONE6 = { kind: 'ip', value: new Uint8Array(32) } as const;
const OWN = { kind: 'dns', value: 'agents.example.com' } as const;
const CONFINED = { permitted: [OWN], excluded: [NONE4, NONE6] };

test('a root that leaves DNS names or addresses open is refused, and goes nowhere', async () => {
  const untouched = readdirSync(home);
  for (const [name, constraints, fault] of [
    ['unconfined', undefined, /no name constraints/],
    ['names', { permitted: [], excluded: [NONE4, NONE6] }, /leaves DNS names open/],
    ['addresses', { permitted: [OWN], excluded: [] }, /leaves IPv4 addresses open/],
    ['sixth', { permitted: [OWN], excluded: [NONE4] }, /leaves IPv6 addresses open/],
  ] as const) {
    const { code, stderr } = await cli(['trust', 'install', '--store', 'node', '--root', rootFile(name, constraints)]);
    assert.equal(code, EXIT.denied, stderr);
    assert.match(stderr, fault);
    rmSync(join(home, `${name}.pem`));
  }
  // One that is not, beside one that is.
  const both = join(home, 'both.pem');
  writeFileSync(
    both,
    ['good', 'bad'].map((name, at) => readFileSync(rootFile(name, at === 0 ? CONFINED : undefined))).join(''),
  );
  assert.equal((await cli(['trust', 'install', '--store', 'node', '--root', both])).code, EXIT.denied);
  for (const name of ['both', 'good', 'bad']) rmSync(join(home, `${name}.pem`));
  assert.deepEqual(readdirSync(home), untouched);
});

test('a file that has no certificate is named, and the flag that gave it', async () => {
  const pem = readFileSync(rootFile('whole', CONFINED), 'utf8');
  const file = join(home, 'none.pem');
  for (const [text, fault] of [
    ['these are no roots\n', /no BEGIN line/],
    ['', /no BEGIN line/],
    [pem.replace('END CERTIFICATE', 'END'), /not closed by its own END line/],
    [pem.replaceAll('CERTIFICATE', 'PUBLIC KEY'), /There is no certificate in/],
    ['-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', /no PEM of certificates/],
  ] as const) {
    writeFileSync(file, text);
    for (const verb of ['install', 'uninstall']) {
      const { code, stderr } = await cli(['trust', verb, '--store', 'node', '--root', file]);
      assert.equal(code, EXIT.usage, stderr);
      assert.match(stderr, fault);
      assert.ok(stderr.includes(file) && stderr.includes('(--root)'), stderr);
    }
  }
});

test('one that is confined goes in, and out again', async () => {
  const file = rootFile('own', CONFINED);
  const { code, stderr } = await cli(['trust', 'install', '--store', 'node', '--root', file]);
  assert.equal(code, 0, stderr);
  const store = join(home, '.local/share/writ/trust/node.pem');
  assert.ok(readFileSync(store, 'utf8').includes(readFileSync(file, 'utf8').trim()));
  assert.equal((await cli(['trust', 'uninstall', '--store', 'node'])).code, 0);
  assert.equal(existsSync(store), false);
});
