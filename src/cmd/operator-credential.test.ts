import assert from 'node:assert/strict';
import { existsSync, linkSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { writeCredential } from './operator-credential.ts';

const CREDENTIAL = { version: 1, name: 'ada', server: 'https://localhost:1', roots: [], chain: [], key: 'k' } as const;

test('a credential is always a file of its own, whatever lies in its place', () => {
  const directory = mkdtempSync(join(tmpdir(), 'writ-credential-'));
  try {
    const path = join(directory, 'operator.json');
    const elsewhere = join(directory, 'elsewhere');
    symlinkSync(elsewhere, path);
    writeCredential(path, CREDENTIAL, true);
    assert.ok(!existsSync(elsewhere), 'no link is followed');

    rmSync(path);
    writeFileSync(path, 'open to all', { mode: 0o666 });
    const watched = join(directory, 'watched');
    linkSync(path, watched);
    assert.throws(() => writeCredential(path, CREDENTIAL, false), { code: 'conflict' });
    writeCredential(path, CREDENTIAL, true);
    assert.equal(readFileSync(watched, 'utf8'), 'open to all', 'nor what somebody else has open');
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal(JSON.parse(readFileSync(path, 'utf8')).name, 'ada');
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
