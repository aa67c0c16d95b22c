/** What the ledger says, and what of it convinces an outsider. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { cells, cli, testServer } from '../../../test/server.ts';
import { formatVerifierKey, noteKey } from '../../merkle/note-key.ts';
import { connect } from '../../sdk/enrolment/connect.ts';

const server = await testServer();
await server.token('researcher');

interface List<T> {
  readonly items: readonly T[];
  readonly next_cursor?: string;
}

test('the ledger: entries, receipts that verify with nothing but the keys', async () => {
  const { items } = await server.json<List<{ index: number; type: string }>>('ledger', 'list', '--limit', '500');
  assert.deepEqual(
    items.map(({ index }) => index),
    items.map((_, index) => index),
  );
  const [first] = cells(await server.cli('ledger', 'list', '--from', '3', '--limit', '1')).slice(1);
  assert.equal(first![0], '3');
  const about = await server.json<List<{ type: string }>>('ledger', 'list', '--subject', 'agent:researcher');
  assert.equal(about.items[0]!.type, 'agent.registered');
  const { index } = items.find(({ type }) => type === 'agent.registered')!;
  assert.equal((await server.json<{ type: string }>('ledger', 'show', String(index))).type, 'agent.registered');
  assert.match((await server.cli('ledger', 'checkpoint')).stdout, /^writ\.internal\/ledger\n\d+\n/);

  const [receipt, keys] = [join(server.scratch, 'receipt'), join(server.scratch, 'keys')];
  // Both signatures are there after a second at most.
  for (let i = 0; ; i++) {
    writeFileSync(receipt, (await server.cli('ledger', 'receipt', String(index))).stdout);
    if (readFileSync(receipt, 'utf8').split('— ').length === 3 || i > 40) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  writeFileSync(keys, (await server.cli('ledger', 'key')).stdout);
  const checked = await cli(['ledger', 'check-receipt', receipt, '--keys', keys]);
  assert.equal(checked.code, 0);
  assert.match(
    checked.stdout,
    new RegExp(`^Verified {2}.*\\nentry +${index} of writ\\.internal/ledger, in a tree of \\d+$`, 'm'),
  );
  assert.match(checked.stdout, /^signed with +Ed25519 and ML-DSA-44$/m);
  assert.match(checked.stdout, /^event +agent\.registered$/m);
  assert.match(checked.stdout, /^about +.*agent:/m);
});

test('a receipt with one character changed does not verify, nor one under other keys', async () => {
  const [receipt, keys, bad] = ['receipt', 'keys', 'bad'].map((name) => join(server.scratch, name)) as [
    string,
    string,
    string,
  ];
  const good = readFileSync(receipt, 'utf8');
  const positions = [
    30,
    good.indexOf('extra ') + 60,
    good.indexOf('index ') + 6,
    good.indexOf('\n\n') + 20,
    good.length - 30,
  ];
  for (const at of positions) {
    const character = good[at] === 'A' ? 'B' : 'A';
    writeFileSync(bad, good.slice(0, at) + character + good.slice(at + 1));
    const { code, stdout } = await cli(['ledger', 'check-receipt', bad, '--keys', keys]);
    assert.equal(code, 7, `character ${at}`);
    assert.match(stdout, /^NOT VERIFIED {2}.*: \S/);
  }
  const both = await cli(['ledger', 'check-receipt', receipt, bad, '--keys', keys, '--json']);
  assert.equal(both.code, 7);
  const { ok, items } = JSON.parse(both.stdout) as { ok: boolean; items: { verified: boolean }[] };
  assert.deepEqual([ok, items.map(({ verified }) => verified)], [false, [true, false]]);
  const [ed25519] = readFileSync(keys, 'utf8').split('\n');
  const other = nobodysKey();
  const foreign = join(server.scratch, 'foreign');
  writeFileSync(foreign, other);
  assert.equal((await cli(['ledger', 'check-receipt', receipt, '--keys', foreign])).code, 7);
  writeFileSync(foreign, `${ed25519}\n`);
  assert.match((await cli(['ledger', 'check-receipt', receipt, '--keys', foreign])).stdout, /^signed with +Ed25519$/m);
  for (const text of ['', 'nonsense\n', `${ed25519!.slice(0, -2)}\n`]) {
    writeFileSync(foreign, text);
    assert.equal((await cli(['ledger', 'check-receipt', receipt, '--keys', foreign])).code, 2);
  }
});

/** Verifier keys by the right name, of keys that are nobody's. */
function nobodysKey(): string {
  const { publicKey } = generateKeyPairSync('ed25519');
  return `${formatVerifierKey(noteKey('writ.internal/ledger', publicKey.export({ type: 'spki', format: 'der' })))}\n`;
}

test('a trace tells the story in order; its receipts are evidence for outsiders', async () => {
  using identity = await connect({ token: await server.token('traced') });
  const first = identity.credential.serial;
  const { serial } = await identity.renew();
  await server.json('cert', 'revoke', first, '--cause', 'key_theft');
  const rows = cells(await server.cli('trace', serial)).slice(1);
  assert.deepEqual(
    rows.map((row) => row[2]),
    [
      ...['agent.registered', 'token.created', 'token.used', 'instance.enrolled', 'certificate.issued'],
      ...['certificate.renewed', 'certificate.revoked'],
    ],
  );
  const receipts = await server.json<List<{ receipt: string }>>('trace', serial, '--receipts');
  assert.ok(receipts.items.every(({ receipt }) => receipt.startsWith('c2sp.org/tlog-proof@v1\n')));
  assert.equal((await server.cli('trace', serial, '--receipts')).stdout.split('c2sp.org/tlog-proof@v1\n').length, 8);
  const out = join(server.scratch, 'evidence');
  const said = await server.cli('trace', serial, '--out', out);
  assert.equal(said.stderr, `Next: writ ledger check-receipt ${out}/*.tlog-proof --keys ${out}/keys\n`);
  const files = readdirSync(out)
    .filter((name) => name.endsWith('.tlog-proof'))
    .map((name) => join(out, name));
  assert.equal(files.length, 7);
  assert.equal((await cli(['ledger', 'check-receipt', ...files, '--keys', join(out, 'keys')])).code, 0);
  assert.equal((await server.cli('trace', serial, '--out', out)).code, 8);
});
