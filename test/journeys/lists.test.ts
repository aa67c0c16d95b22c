/** Revocation lists of a running server: at once what is stored, where the certificates say, also after a restore. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { parseCrl } from '../../src/x509/crl.ts';
import { findExtension } from '../../src/x509/extension.ts';
import { CRL_NUMBER, decodeCrlNumber } from '../../src/x509/extensions/crl-number.ts';
import { decodeReasonCode } from '../../src/x509/extensions/reason-code.ts';
import { writ } from '../program.ts';
import { run, scratchDirectory } from './authority.ts';
import type { Leaf } from './clients.ts';
import { pointersOf } from './pointers.ts';

/** Path of the list about all that the issuer of a leaf signed. */
const fullOf = ({ certificate }: Leaf): string =>
  pointersOf(certificate)
    .access.at(-1)!
    .replace(/^.*\/ca\/(.*)\.cer$/, '/crl/$1.crl');

interface Fetched {
  readonly number: number;
  /** Reasons by serial number in hex. */
  readonly entries: ReadonlyMap<string, string>;
}

async function listAt(url: string): Promise<Fetched> {
  const answer = await fetch(url);
  assert.equal(answer.status, 200, url);
  assert.match(answer.headers.get('cache-control') ?? '', /^public, max-age=[1-9]/);
  const crl = parseCrl(new Uint8Array(await answer.arrayBuffer()));
  assert.ok(crl.nextUpdate! > Date.now());
  return {
    number: Number(decodeCrlNumber(findExtension(crl.extensions, CRL_NUMBER)!.value)),
    entries: new Map(
      crl.entries.map(({ serial, extensions }) => [
        Buffer.from(serial).toString('hex'),
        decodeReasonCode(extensions[0]!.value),
      ]),
    ),
  };
}

/** Asks until it holds, for a second. */
async function soon<T>(ask: () => Promise<T>, holds: (value: T) => boolean): Promise<T> {
  for (let tries = 0; tries < 20; tries++) {
    const value = await ask();
    if (holds(value)) return value;
    await pause(50);
  }
  return ask();
}

test('what is stopped is on its lists at once, in each server and after an older backup', async () => {
  const data = join(scratchDirectory(), 'writ-data');
  const first = await run(data);
  const [kept, revoked, held] = [await first.letIn('kept'), await first.letIn('revoked'), await first.letIn('held')];
  const plain = first.server.plain.replace('127.0.0.1', 'localhost');
  const { list, access } = pointersOf(kept.certificate);
  assert.match(list, new RegExp(`^${plain}/crl/shard/[0-9a-z]{26}\\.crl$`));
  assert.equal(access[0], `${plain}/ocsp`);
  const issuer = new X509Certificate(new Uint8Array(await (await fetch(access[1]!)).arrayBuffer()));
  assert.ok(new X509Certificate(kept.certificate).checkIssued(issuer));
  // The authority's own certificate says the same of the one above it.
  const above = pointersOf(issuer.toString());
  assert.equal((await listAt(above.list)).entries.size, 0);
  assert.equal((await fetch(above.access[0]!)).status, 200);

  const before = await listAt(list);
  assert.equal(before.entries.size, 0);
  await first.revoke(revoked.serial);
  const shardOf = (leaf: Leaf): string => pointersOf(leaf.certificate).list;
  assert.equal((await listAt(shardOf(revoked))).entries.get(revoked.serial), 'keyCompromise');
  const target = { kind: 'instance', name: held.instance };
  await first.post('/v1/stops', { target, cause: 'key_theft', mode: 'quarantine' });
  assert.equal((await listAt(shardOf(held))).entries.get(held.serial), 'certificateHold');
  const full = plain + fullOf(kept);
  const both = await soon(
    () => listAt(full),
    ({ entries }) => entries.size === 2,
  );
  assert.deepEqual(
    [both.entries.get(revoked.serial), both.entries.get(held.serial)],
    ['keyCompromise', 'certificateHold'],
  );
  const delta = await listAt(shardOf(held).replace('/shard/', '/delta/'));
  assert.equal(delta.entries.get(held.serial), 'certificateHold');
  // What a backup does not know stays on the lists that the certificates name: the anchor has it.
  const backup = `${data}-backup`;
  assert.equal((await writ(['backup', backup, '--data', data])).code, 0);
  await first.revoke(kept.serial);
  const [newest, whole] = [await listAt(shardOf(kept)), await soon(() => listAt(full), onIt(kept))];
  assert.ok(newest.number > before.number);
  await first.server.kill();
  renameSync(data, `${data}-lost`);
  assert.equal((await writ(['restore', backup, '--data', data])).code, 0);
  const again = await run(data);
  const moved = (url: string): string => again.server.plain + new URL(url).pathname;
  const after = await listAt(moved(shardOf(kept)));
  assert.deepEqual(after.entries, newest.entries);
  assert.ok(after.number >= newest.number);
  const wholeAfter = await soon(() => listAt(moved(full)), onIt(kept));
  assert.deepEqual(wholeAfter.entries, whole.entries);
  assert.ok(wholeAfter.number >= whole.number);
});

const onIt =
  ({ serial }: Leaf) =>
  ({ entries }: Fetched): boolean =>
    entries.has(serial);

test('an authority that is stopped stands on the list above it at once, and until it is released', async () => {
  const data = join(scratchDirectory(), 'writ-data');
  const { server, letIn, post } = await run(data);
  const first = await letIn('first');
  // The operator's own certificate is of the one before, so the operator goes on.
  assert.equal((await writ(['ca', 'rotate', '--data', data])).code, 0);
  const leaf = await letIn('second');
  const [issuing, former] = [leaf, first].map(({ chain }) => new X509Certificate(chain[0]!)) as [
    X509Certificate,
    X509Certificate,
  ];
  const serial = issuing.serialNumber.toLowerCase();
  assert.notEqual(serial, former.serialNumber.toLowerCase());
  const above = pointersOf(issuing.toString()).list;
  const before = await listAt(above);
  assert.equal(before.entries.size, 0);
  const target = { kind: 'authority', name: /\/ca\/(.*)\.cer$/.exec(pointersOf(leaf.certificate).access.at(-1)!)![1]! };
  const why = { target, cause: 'policy_change', mode: 'quarantine' };
  const { id } = await post<{ id: string }>('/v1/stops', why);
  const held = await soon(
    () => listAt(above),
    ({ entries }) => entries.size === 1,
  );
  assert.deepEqual([...held.entries], [[serial, 'certificateHold']]);
  assert.ok(held.number > before.number);
  assert.equal((await listAt(server.plain + fullOf(leaf))).entries.size, 0, 'not one entry for each leaf');

  // No server starts under an authority that may not issue: another one succeeds it.
  assert.equal((await writ(['ca', 'rotate', '--data', data])).code, 0);
  await server.kill();
  const again = await run(data);
  const moved = (url: string): string => again.server.plain + new URL(url).pathname;
  assert.deepEqual([...(await listAt(moved(above))).entries], [[serial, 'certificateHold']]);
  assert.equal((await writ(['release', id, '--here', '--data', data])).code, 0);
  const free = await soon(
    () => listAt(moved(above)),
    ({ entries }) => entries.size === 0,
  );
  assert.equal(free.entries.size, 0);
  assert.ok(free.number > held.number);
});
