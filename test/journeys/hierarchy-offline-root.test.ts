/** A root whose key never lies on the machine: what it signed in advance, when it is wanted again, and how. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openSqlite } from '../../src/db/sqlite.ts';
import { encodePem } from '../../src/der/pem.ts';
import { parseCrl } from '../../src/x509/crl.ts';
import { openssl, pathOf, skipOf } from '../interop/tools.ts';
import { type DidNotStart, startServer } from '../program.ts';
import { cli, testServer } from '../server.ts';
import { agedInstallation } from './aged.ts';
import { clientOf, enrol, issuerOf, rootsIn } from './clients.ts';

const OPENSSL = openssl();
const DAY_MS = 86_400_000;

const scratch = mkdtempSync(join(tmpdir(), 'writ-offline-'));
after(() => rmSync(scratch, { recursive: true, force: true }));
const rootKey = join(scratch, 'root.key');

interface Listed {
  readonly id: string;
  readonly kind: string;
  readonly state: string;
  readonly key: string;
}

interface Due {
  readonly items: readonly { what: string; overdue: boolean; message: string; command: string }[];
}

test('the root key leaves at once; its list and the next intermediate are signed with the file', async () => {
  const server = await testServer({ args: ['--root-key-out', rootKey] });
  assert.equal(statSync(rootKey).mode & 0o777, 0o600);
  const authorities = async (): Promise<Listed[]> => (await server.json<{ items: Listed[] }>('ca', 'list')).items;
  const root = (await authorities()).find(({ kind }) => kind === 'root')!;
  assert.equal(root.key, 'elsewhere');
  const { sealed } = JSON.parse(readFileSync(rootKey, 'utf8')) as { sealed: string };
  await holdsNot(server.data, root.id, Buffer.from(sealed, 'base64'));

  const crl = async (): Promise<ReturnType<typeof parseCrl>> => {
    const der = new Uint8Array(await (await fetch(`${server.plain}/crl/${root.id}.crl`)).arrayBuffer());
    if (skipOf(OPENSSL) === false) verifyCrl(der, rootsIn(server.operator)[0]!);
    return parseCrl(der);
  };
  const first = await crl();
  assert.ok(Math.abs(first.nextUpdate! - Date.now() - 365 * DAY_MS) < 60_000, 'good for a year');
  assert.deepEqual((await server.json<Due>('ca', 'due')).items, []);

  // Nothing is signed by a dry run.
  await server.json('ca', 'sign-crl', '--root-key', rootKey, '--dry-run');
  assert.deepEqual((await crl()).raw, first.raw);
  await server.json('ca', 'sign-crl', '--root-key', rootKey);
  const second = await crl();
  assert.ok(second.thisUpdate >= first.thisUpdate);
  assert.notDeepEqual(second.raw, first.raw);

  const { token } = await tokenOfMany(server);
  const open = clientOf(server.api, rootsIn(server.operator));
  after(() => open.close());
  const before = await enrol(open, token);
  await server.json('ca', 'sign-intermediate', '--root-key', rootKey);
  await server.json('ca', 'rotate');
  const next = await enrol(open, token);
  const intermediates = (await authorities()).filter(({ kind }) => kind === 'intermediate');
  assert.deepEqual(
    intermediates.map(({ state }) => state),
    ['retired', 'active'],
  );
  const above = (chain: readonly string[]): string => issuerOf({ certificate: chain[0]! });
  assert.ok(above(before.chain).includes(intermediates[0]!.id));
  assert.ok(above(next.chain).includes(intermediates[1]!.id));

  const refused = async (code: number, message: RegExp, ...argv: string[]): Promise<void> => {
    const said = await server.cli('ca', 'sign-crl', ...argv);
    assert.deepEqual([said.code, said.stdout], [code, '']);
    assert.match(said.stderr, message);
  };
  const file = (name: string, text: string): string => {
    writeFileSync(join(scratch, name), text, { mode: 0o600 });
    return join(scratch, name);
  };
  await refused(3, /does not exist/, '--root-key', join(scratch, 'nowhere'));
  await refused(2, /is no key file of Writ/, '--root-key', file('no-key', '{"sealed":"AAAA"}'));
  const other = readFileSync(rootKey, 'utf8').replace(root.id, next.instance);
  await refused(2, /holds the key of another authority/, '--root-key', file('other', other));
  const open644 = file('open', readFileSync(rootKey, 'utf8'));
  chmodSync(open644, 0o644);
  await refused(1, /open to others[\s\S]*chmod 600/, '--root-key', open644);

  // The file keeps the passphrase of its day.
  const yesterday = join(scratch, 'passphrase-of-the-day');
  copyFileSync(`${server.data}-passphrase`, yesterday);
  await server.json('passphrase', 'change');
  await refused(1, /does not open[\s\S]*on the day when the file was written/, '--root-key', rootKey);
  const wrong = file('wrong', 'not this one, surely\n');
  await refused(1, /does not open/, '--root-key', rootKey, '--root-passphrase-file', wrong);
  await server.json('ca', 'sign-crl', '--root-key', rootKey, '--root-passphrase-file', yesterday);
});

test('a key file is never overwritten, and another name goes on from there', async () => {
  const data = join(scratch, 'second');
  const said = await cli(['init', '--data', data, '--root-key-out', rootKey]);
  assert.equal(said.code, 8, said.stderr);
  assert.match(said.stderr, /exists already[\s\S]*never overwritten/);
  const again = await cli(['init', '--data', data, '--root-key-out', join(scratch, 'second.key')]);
  assert.equal(again.code, 0, again.stderr);
});

test('what needs the root key is announced sixty days ahead, with the command', async () => {
  const early = await agedInstallation(365 - 61, { rootKeyOut: 'root.key' });
  assert.deepEqual(JSON.parse((await early.cli('ca', 'due', '--json')).stdout), { items: [] });

  const installation = await agedInstallation(365 - 59, { rootKeyOut: 'root.key' });
  const due = async (code: number): Promise<Due['items']> => {
    const said = await installation.cli('ca', 'due', '--json');
    assert.equal(said.code, code, said.stderr);
    return (JSON.parse(said.stdout) as Due).items;
  };
  const [item, ...others] = await due(0);
  assert.deepEqual(others, []);
  assert.deepEqual([item!.what, item!.overdue], ['root-crl', false]);
  assert.match(item!.message, /revocation list ends on \d{4}-\d\d-\d\d/);
  const server = await startServer(installation.directory.path);
  const { stderr } = await server.stop();
  assert.match(stderr, /"level":"warn"[^\n]*root-crl[^\n]*sign-crl/, 'in the log of the server, too');
  await follow(item!.command);
  assert.deepEqual(await due(0), []);

  async function follow(command: string): Promise<void> {
    assert.match(command, /^writ .*\bFILE\b/);
    const argv = command.replace('FILE', join(installation.scratch, 'root.key')).split(' ').slice(1);
    const said = await installation.cli(...argv);
    assert.equal(said.code, 0, said.stderr);
  }
});

test('past the end of the intermediate one sentence says what to do, and that helps', async () => {
  const installation = await agedInstallation(1100, { rootKeyOut: 'root.key' });
  const { path } = installation.directory;
  await assert.rejects(startServer(path), ({ ended }: DidNotStart) => {
    const { error } = JSON.parse(ended.stderr.trim().split('\n').at(-1)!) as {
      error: { code: string; message: string; next: string };
    };
    assert.equal(error.code, 'expired');
    assert.match(error.message, /^The intermediate ended on [\d-]+: nothing is issued until there is another\.$/);
    assert.match(error.next, /writ ca sign-intermediate --root-key FILE/);
    return true;
  });
  const due = JSON.parse((await installation.cli('ca', 'due', '--json')).stdout) as Due;
  assert.deepEqual(
    due.items.map(({ what, overdue }) => [what, overdue]),
    [
      ['root-crl', true],
      ['intermediate', true],
    ],
  );
  for (const command of ['sign-crl', 'sign-intermediate']) {
    const said = await installation.cli('ca', command, '--root-key', join(installation.scratch, 'root.key'));
    assert.equal(said.code, 0, said.stderr);
  }
  const server = await startServer(path);
  const operator = join(`${path}-operator`, 'operator.json');
  const said = await cli(['ca', 'list', '--operator', operator, '--server', server.api, '--json']);
  const { items } = JSON.parse(said.stdout) as { items: Listed[] };
  assert.deepEqual(
    items.filter(({ state }) => state === 'active').map(({ kind }) => kind),
    ['root', 'intermediate', 'issuing'],
  );
  await server.stop();
});

async function tokenOfMany(server: Awaited<ReturnType<typeof testServer>>): Promise<{ token: string }> {
  await server.token('planner');
  return server.json<{ token: string }>('token', 'create', 'planner', '--uses', '10');
}

/** The key is under no name among the sealed ones, and its octets are nowhere in the files. */
async function holdsNot(data: string, root: string, sealed: Uint8Array): Promise<void> {
  const database = openSqlite({ path: join(data, 'writ.db'), readOnly: true });
  const rows = await database.all('SELECT id FROM sealed_key');
  await database.close();
  assert.equal(rows.length, 5, 'intermediate, issuing, two of the ledger, and that of JWT-SVIDs');
  assert.ok(rows.every(({ id }) => id !== root));
  // The header of all sealed keys is the same: what follows it is this key's alone.
  const own = Buffer.from(sealed.subarray(43, 75));
  const files = ['writ.db', 'writ.db-wal'].map((name) => join(data, name)).filter(existsSync);
  const octets = Buffer.concat(files.map((file) => readFileSync(file)));
  assert.ok(octets.includes(Buffer.from('WRIT')), 'sealed keys are looked for in the right place');
  assert.ok(!octets.includes(own));
}

function verifyCrl(der: Uint8Array, root: string): void {
  const file = (name: string, text: string): string => {
    writeFileSync(join(scratch, name), text);
    return join(scratch, name);
  };
  const args = ['crl', '-noout', '-in', file('crl.pem', encodePem('X509 CRL', der)), '-CAfile', file('root.pem', root)];
  execFileSync(pathOf(OPENSSL), args, { stdio: 'pipe' });
}
