/** What Writ's ledger serves, verified by transparency log code that nobody here wrote (Go's `sumdb/tlog` and `note`). */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { logSigner } from '../../src/ledger/log-signer.ts';
import { receipt } from '../../src/ledger/receipt.ts';
import { Sequencer } from '../../src/ledger/sequencer.ts';
import { ledgerResource } from '../../src/ledger/serve.ts';
import { change, type TestLedger, withLedger } from '../../src/ledger/testdata/ledger.ts';
import { formatVerifierKey } from '../../src/merkle/note-key.ts';
import { tilePath, tileWidth } from '../../src/merkle/tile.ts';
import { noteGap } from '../gaps.ts';

function goMissing(): string | undefined {
  if (spawnSync('go', ['version']).status === 0) return undefined;
  const line = 'Go: no go command found (Debian: apt-get install golang-go)';
  noteGap(line);
  return line;
}

async function save(ledger: TestLedger, folder: string, path: string, name: string = path): Promise<void> {
  const resource = await ledgerResource(ledger.database, path);
  assert.ok(resource, path);
  mkdirSync(dirname(join(folder, name)), { recursive: true });
  writeFileSync(join(folder, name), resource.body);
}

/** Writes all that the log serves at its present size. */
async function saveAll(ledger: TestLedger, folder: string, size: number): Promise<void> {
  for (const level of ['entries', 0, 1, 2] as const) {
    for (let index = 0; ; index++) {
      const width = tileWidth(level === 'entries' ? 0 : level, index, size);
      if (width === 0) break;
      await save(ledger, folder, tilePath({ level, index, width }));
    }
  }
  await save(ledger, folder, 'checkpoint');
}

test('Go verifies checkpoints, tiles, entries and receipts', { skip: goMissing() ?? false }, async () => {
  const scratch = mkdtempSync(join(tmpdir(), 'writ-interop-'));
  const program = join(scratch, 'ledger');
  execFileSync('go', ['build', '-o', program, './ledger'], { cwd: join(import.meta.dirname, 'go') });
  const folder = join(scratch, 'served');
  mkdirSync(join(folder, 'receipts'), { recursive: true });
  try {
    await withLedger(async (ledger) => {
      const fill = (sequencer: Sequencer, count: number): Promise<unknown> =>
        Promise.all(Array.from({ length: count }, (_, i) => sequencer.commit(change(`a${i}`))));
      await fill(ledger.sequencer, 299);
      await ledger.sequencer.close();
      await save(ledger, folder, 'checkpoint', 'checkpoint.old');
      const again = await Sequencer.open(ledger.options);
      await fill(again, 401);
      await again.close();
      await saveAll(ledger, folder, 701);
      const { keys } = logSigner('corp.example/ledger', ledger.keys);
      writeFileSync(join(folder, 'keys'), `${keys.map(formatVerifierKey).join('\n')}\n`);
      for (const leaf of [0, 1, 255, 256, 511, 512, 700]) {
        writeFileSync(join(folder, 'receipts', `${leaf}.tlog-proof`), await receipt(ledger.database, leaf));
      }
    });
    const run = (): string => execFileSync(program, [folder], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    assert.equal(run(), 'verified 701 entries, 7 receipts, consistent with 300\n');

    const altered: [file: string, at: number][] = [
      ['checkpoint', 30],
      ['checkpoint.old', 30],
      ['tile/0/001', 100],
      ['tile/1/000.p/2', 40],
      ['tile/entries/000', 1000],
      ['receipts/512.tlog-proof', 60],
    ];
    for (const [file, at] of altered) {
      const whole = readFileSync(join(folder, file));
      const changed = Buffer.from(whole);
      changed[at]! ^= 1;
      writeFileSync(join(folder, file), changed);
      assert.throws(run, `an altered ${file} was accepted`);
      writeFileSync(join(folder, file), whole);
    }
    assert.ok(run());
  } finally {
    rmSync(scratch, { recursive: true });
  }
});
