import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { onBothEngines, type StoreParts } from '../../../test/stores.ts';
import { isWritError } from '../../base/error.ts';
import { newBatch } from '../../db/batch.ts';
import { changePassphrase, openKeyring } from '../../keys/keyring.ts';
import { Passphrase } from '../../keys/passphrase.ts';
import { parseCrl } from '../../x509/crl.ts';
import { activeOf } from '../authority.ts';
import { type Hierarchy, readHierarchy } from '../hierarchy.ts';
import { committed, DAY, type Installation, install, PASSPHRASE, random, START } from '../testdata/installation.ts';
import { type Due, dueItems } from './due.ts';
import { pushAuthorityList } from './list.ts';
import { maintain } from './maintain.ts';
import { moveRootKeyOut, openOfflineRoot } from './offline-root.ts';
import { addIntermediate } from './succession.ts';

const folder = await mkdtemp(join(tmpdir(), 'writ-offline-'));
after(() => rm(folder, { recursive: true }));
let files = 0;
const newFile = (): string => join(folder, `${files++}.key`);

const read = async (parts: StoreParts): Promise<Hierarchy> => (await readHierarchy(parts.database))!;
const code = (code: Parameters<typeof isWritError>[1]) => (error: unknown) => isWritError(error, code);

/** What is announced so many days after the beginning, once everything was done that needs no person. */
async function due(parts: StoreParts, own: Installation, days: number): Promise<Due[]> {
  own.clock.set(START + days * DAY);
  await maintain({ ...own, reader: parts.database, commit: parts.commit, random });
  return dueItems(await read(parts), { now: own.clock.now(), issuingLifetime: 120 * 86_400 });
}

const shown = (items: readonly Due[]): string => items.map(({ what, overdue }) => what + (overdue ? '!' : '')).join();

onBothEngines(
  'the yearly list: announced 60 days ahead, signed with the file, then good for another year',
  async (parts) => {
    const path = newFile();
    const own = await install(parts, { rootKeyOut: path });
    assert.equal(shown(await due(parts, own, 304)), '');
    const [item] = await due(parts, own, 306);
    assert.deepEqual(
      [item!.what, item!.overdue, item!.command],
      ['root-crl', false, 'writ ca sign-crl --root-key FILE'],
    );
    assert.match(item!.message, /2028-01-15/);
    assert.equal(shown(await due(parts, own, 366)), 'root-crl!');

    const before = (await read(parts)).crls.find(({ authority }) => authority === own.root.id)!;
    const batch = newBatch();
    const hierarchy = await read(parts);
    const root = await openOfflineRoot(hierarchy, { path, keyring: own.keyring });
    await pushAuthorityList(batch, hierarchy, root, { now: own.clock.now(), caller: 'system:administrator' });
    await committed(parts, batch);
    const after = (await read(parts)).crls.find(({ authority }) => authority === own.root.id)!;
    assert.ok(after.number > before.number);
    assert.equal(parseCrl(after.der).nextUpdate, START - 250 + (366 + 365) * DAY);
    assert.equal(shown(await due(parts, own, 366)), '');
    assert.equal((await parts.commit(batch)).committed, false);
  },
);

onBothEngines('the next intermediate: announced, overdue without harm, made with the file', async (parts) => {
  const path = newFile();
  const own = await install(parts, { rootKeyOut: path });
  const intermediates = (items: Due[]) => shown(items.filter(({ what }) => what === 'intermediate'));
  assert.equal(intermediates(await due(parts, own, 915)), '');
  assert.equal(intermediates(await due(parts, own, 917)), 'intermediate');
  assert.equal(intermediates(await due(parts, own, 977)), 'intermediate!');
  const short = activeOf((await read(parts)).authorities, 'issuing')!;
  assert.ok(short.certificate.notAfter <= own.intermediate.certificate.notAfter);

  const batch = newBatch();
  const hierarchy = await read(parts);
  const root = await openOfflineRoot(hierarchy, { path, keyring: own.keyring });
  const act = { now: own.clock.now(), caller: 'system:administrator', keyring: own.keyring, random };
  const next = await addIntermediate(batch, hierarchy, root, act);
  await committed(parts, batch);
  assert.equal(intermediates(await due(parts, own, 978)), '');
  await due(parts, own, 1100);
  assert.equal(activeOf((await read(parts)).authorities, 'issuing')!.issuer, next.id);
  assert.equal((await parts.commit(batch)).committed, false);
});

onBothEngines(
  'without the root key an installation ends in order: shorter lives, then a clear sentence',
  async (parts) => {
    const own = await install(parts, { rootKeyOut: newFile() });
    for (const day of [1000, 1050, 1095]) await due(parts, own, day);
    const issuing = activeOf((await read(parts)).authorities, 'issuing')!;
    const { notAfter } = own.intermediate.certificate;
    assert.ok(issuing.certificate.notAfter <= notAfter && issuing.certificate.notAfter > notAfter - 2000);
    assert.match(shown(await due(parts, own, 1097)), /intermediate!/);
  },
);

onBothEngines('with the root key online nothing is ever announced but its own end', async (parts) => {
  const own = await install(parts);
  for (const day of [0, 340, 1000, 2000, 2555]) assert.equal(shown(await due(parts, own, day)), '', String(day));
  assert.equal(shown(await due(parts, own, 2557)), 'root');
});

onBothEngines('moving the root key out later: in the file, gone from here, and a year of peace', async (parts) => {
  const own = await install(parts);
  own.clock.advance(100 * DAY);
  const path = newFile();
  const batch = newBatch();
  const act = { now: own.clock.now(), caller: 'system:administrator', keyring: own.keyring, random };
  await moveRootKeyOut(batch, parts.database, await read(parts), { ...act, path });
  await committed(parts, batch);
  const hierarchy = await read(parts);
  assert.equal(hierarchy.root, 'offline');
  assert.equal(await parts.database.get('SELECT 1 AS found FROM sealed_key WHERE id = ?', [own.root.id]), undefined);
  assert.equal(hierarchy.crls.find(({ authority }) => authority === own.root.id)!.nextUpdate, START - 250 + 465 * DAY);
  assert.ok(parts.events.some(({ type }) => type === 'authority.key_moved'));
  const root = await openOfflineRoot(hierarchy, { path, passphrase: PASSPHRASE });
  assert.deepEqual(root.spki, own.root.certificate.spki);
  await assert.rejects(
    moveRootKeyOut(newBatch(), parts.database, hierarchy, { ...act, path: newFile() }),
    code('conflict'),
  );
});

onBothEngines('the file opens with the passphrase of its day, whatever that is by now', async (parts) => {
  const path = newFile();
  const own = await install(parts, { rootKeyOut: path });
  const passphrase = new Passphrase(Buffer.from('quite another one'));
  const derivation = { memory: 8192, passes: 1, lanes: 1, salt: random(16) };
  const batch = newBatch();
  await changePassphrase(batch, parts.database, own.keyring, { passphrase, now: START, random, derivation });
  await committed(parts, batch);
  const hierarchy = await read(parts);
  const keyring = await openKeyring(parts.database, passphrase);
  await assert.rejects(openOfflineRoot(hierarchy, { path, keyring }), code('wrong_passphrase'));
  await assert.rejects(openOfflineRoot(hierarchy, { path, keyring, passphrase }), code('wrong_passphrase'));
  await openOfflineRoot(hierarchy, { path, keyring, passphrase: PASSPHRASE });
});

onBothEngines('files that are not the root key of this installation', async (parts) => {
  const path = newFile();
  const own = await install(parts, { rootKeyOut: path });
  const hierarchy = await read(parts);
  const open = (path: string) => openOfflineRoot(hierarchy, { path, keyring: own.keyring });
  await assert.rejects(open(newFile()), code('not_found'));
  const text = await readFile(path, 'utf8');
  const variants: [string, Parameters<typeof isWritError>[1]][] = [
    ['', 'bad_config'],
    ['{}', 'bad_config'],
    [text.replace('"root"', '"authority"'), 'bad_config'],
    [text.replace(own.root.id, own.issuing.id), 'bad_config'],
    [text.replace('writ-sealed-key-v1', 'writ-sealed-key-v2'), 'bad_config'],
    [text.replace(/"sealed": "(.{80})./, '"sealed": "$1_'), 'bad_config'],
    [text.replace(/(?<="sealed": ".{80})./, (found) => (found === 'A' ? 'B' : 'A')), 'wrong_passphrase'],
    [text.replace(/"sealed": ".*"/, '"sealed": ""'), 'signer_failed'],
  ];
  for (const [content, expected] of variants) {
    const altered = newFile();
    await writeFile(altered, content, { mode: 0o600 });
    await assert.rejects(open(altered), code(expected), content.slice(0, 200));
  }
  await chmod(path, 0o644);
  await assert.rejects(open(path), code('unsafe_permissions'));
});

onBothEngines('a root that is online or somebody else’s has no file', async (parts) => {
  await install(parts);
  await assert.rejects(openOfflineRoot(await read(parts), { path: newFile() }), code('conflict'));
});
