/** A disk that is full or read-only, below the database and below the anchor: refused in clear words, nothing lost, resumed. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { noteGap } from '../gaps.ts';
import { writ } from '../program.ts';
import { failureOf, type Issued, refusalOf, run, scratchDirectory } from './authority.ts';
import { csrFor, newKey } from './clients.ts';

const missing = mountMissing();

describe('a disk', { concurrency: true, skip: missing ?? false }, () => {
  it('full below the database', async () => {
    const data = join(scratchDirectory(), 'writ-data');
    mountAt(data, '12m');
    const anchor = `${data}-anchor`;
    const { letIn, issue, post, server, get, revoke, document } = await run(data, { args: ['--anchor', anchor] });
    const { instance } = await letIn('planner');
    const before = await issue(instance);
    fill(data);
    const kept: Issued[] = [];
    const refused: Error[] = [];
    // What is free inside the files that are there already is used first.
    for (let i = 0; i < 2000 && refused.length < 5; i++) {
      await issue(instance).then(
        (issued) => kept.push(issued),
        (error: Error) => refused.push(error),
      );
    }
    assert.equal(refused.length, 5);
    for (const error of refused) {
      assert.equal((error as { code?: string }).code, 'storage_failed');
      assert.match(error.message, /disk that holds the database is full/);
    }
    const revocation = await failureOf(revoke(before.serial));
    assert.equal(revocation.code, 'storage_failed');
    // It still answers what it can, and says that it is not ready.
    assert.equal((await get(`/v1/certificates/${before.serial}`))['status'], 'active');
    assert.equal(await document('/healthz').then(() => 'alive'), 'alive');
    const [key, body] = [randomUUID(), { instance, csr: await csrFor(newKey()) }];
    await failureOf(post('/v1/certificates', body, key));

    rmSync(join(data, 'ballast'));
    const late = await eventually(() => post<Issued>('/v1/certificates', body, key));
    assert.equal((await post<Issued>('/v1/certificates', body, key)).serial, late.serial);
    assert.equal((await revoke(before.serial)).status, 'revoked');
    const all = [before, ...kept, late];
    for (const { serial } of all) assert.equal((await get(`/v1/certificates/${serial}`))['serial'], serial);
    assert.equal((await server.stop()).code, 0);
    await verified(data);
    const again = await run(data);
    for (const { serial } of all) assert.equal((await again.get(`/v1/certificates/${serial}`))['serial'], serial);
  });

  it('read-only below the database', async () => {
    const data = join(scratchDirectory(), 'writ-data');
    mountAt(data, '32m');
    const first = await run(data, { args: ['--anchor', `${data}-anchor`] });
    await first.letIn('planner');
    await first.server.stop();
    assert.equal(spawnSync('mount', ['-o', 'remount,ro', data]).status, 0);
    const error = await failureOf(run(data));
    assert.match(refusalOf(error), /storage_failed: .*read-only/);
    const doctor = await writ(['doctor', '--data', data]);
    assert.doesNotMatch(doctor.stdout + doctor.stderr, /defect/);
    assert.equal(spawnSync('mount', ['-o', 'remount,rw', data]).status, 0);
    await (await run(data)).server.stop();
  });

  for (const [what, spoil, mend] of [
    ['full', fill, (anchor: string) => rmSync(join(anchor, 'ballast'))],
    ['read-only', (anchor: string) => remount(anchor, 'ro'), (anchor: string) => remount(anchor, 'rw')],
  ] as const) {
    it(`${what} below the anchor`, async () => {
      const data = join(scratchDirectory(), 'writ-data');
      const anchor = `${data}-anchor`;
      mountAt(anchor, '1m');
      const { letIn, issue, revoke, get, server } = await run(data, { args: ['--anchor', anchor] });
      const { instance } = await letIn('planner');
      const issued: Issued[] = [];
      for (let i = 0; i < FIT_IN_A_BLOCK; i++) issued.push(await issue(instance));
      const key = randomUUID();
      const keyed = (one: string) => revoke(one, key.replace(/^.{8}/, one.slice(-8)));
      spoil(anchor);
      let { serial, error } = await firstRefused(issued, keyed);
      // The list that the server publishes after a revocation can be what finds the disk full; then none began.
      while (error.code === 'unavailable') {
        mend(anchor);
        await eventually(() => issue(instance));
        spoil(anchor);
        ({ serial, error } = await firstRefused(issued, keyed));
      }
      assert.equal(error.code, 'storage_failed');
      assert.equal(error.field, 'commit');
      assert.match(error.message, /anchor/);
      // It counts at once, but nobody is told that it is safe, whoever asks.
      assert.equal((await get(`/v1/certificates/${serial}`))['status'], 'revoked');
      const again = () => keyed(serial);
      assert.equal((await failureOf(again())).code, 'unavailable');
      assert.equal((await failureOf(revoke(serial))).code, 'unavailable');
      assert.equal((await failureOf(issue(instance))).code, 'unavailable');

      mend(anchor);
      const { status } = await eventually(again);
      assert.equal(status, 'revoked');
      assert.match(readFileSync(join(anchor, 'revocations'), 'utf8'), /^\{.*\}$/m);
      await issue(instance);
      await server.stop();
      await verified(data);
    });
  }

  it('read-only below the anchor from the beginning', async () => {
    const data = join(scratchDirectory(), 'writ-data');
    const anchor = `${data}-anchor`;
    mountAt(anchor, '1m');
    remount(anchor, 'ro');
    const error = await failureOf(run(data, { args: ['--anchor', anchor] }));
    assert.match(refusalOf(error), /storage_failed: .*anchor/);
  });
});

/** More revocations than the last block of a file on a full disk can still take. */
const FIT_IN_A_BLOCK = 48;

/** Revokes one after the other, each once, until one is refused. */
async function firstRefused(issued: Issued[], revoke: (serial: string) => Promise<unknown>) {
  for (let one = issued.pop(); one !== undefined; one = issued.pop()) {
    const { serial } = one;
    const error = await revoke(serial).then(
      () => undefined,
      (refusal: Error & { code?: string; field?: string }) => refusal,
    );
    if (error !== undefined) return { serial, error };
  }
  throw new Error('every revocation was answered');
}

/** Calls until it succeeds; fails with the last error after ten seconds. */
async function eventually<T>(act: () => Promise<T>): Promise<T> {
  const until = performance.now() + 10_000;
  for (;;) {
    try {
      return await act();
    } catch (error) {
      if (performance.now() > until) throw error;
    }
    await pause(50);
  }
}

async function verified(data: string): Promise<void> {
  const { code, stdout, stderr } = await writ(['ledger', 'verify', '--data', data]);
  assert.equal(code, 0, stdout + stderr);
}

/** Writes until nothing more goes. */
function fill(directory: string): void {
  const file = openSync(join(directory, 'ballast'), 'w');
  for (let size = 65_536; size >= 1; ) {
    try {
      writeSync(file, Buffer.alloc(size));
    } catch {
      size = Math.floor(size / 2);
    }
  }
  closeSync(file);
}

function mountAt(directory: string, size: string): void {
  mkdirSync(directory, { mode: 0o700 });
  const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=700`, 'tmpfs', directory]);
  assert.equal(status, 0, String(stderr));
  after(() => spawnSync('umount', ['-l', directory]));
}

function remount(directory: string, mode: 'ro' | 'rw'): void {
  assert.equal(spawnSync('mount', ['-o', `remount,${mode}`, directory]).status, 0);
}

/** Undefined when small disks can be mounted here; otherwise the reason, which is noted for the end of the run. */
function mountMissing(): string | undefined {
  const place = scratchDirectory();
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', place]).status === 0) {
    spawnSync('umount', ['-l', place]);
    return undefined;
  }
  const line = 'full disks: nothing can be mounted by this user (run the tests as root)';
  noteGap(line);
  return line;
}
