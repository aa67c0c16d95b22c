import assert from 'node:assert/strict';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { onBothEngines } from '../../../test/stores.ts';
import { isWritError } from '../../base/error.ts';
import { newBatch } from '../../db/batch.ts';
import { readKeyFile } from '../../keys/key-file.ts';
import { openKeyring } from '../../keys/keyring.ts';
import { parseCertificate } from '../../x509/certificate.ts';
import { parseCrl } from '../../x509/crl.ts';
import { BASIC_CONSTRAINTS, decodeBasicConstraints } from '../../x509/extensions/basic-constraints.ts';
import { formatName } from '../../x509/name.ts';
import { chainOf } from '../authority.ts';
import { readHierarchy } from '../hierarchy.ts';
import { readProfile, readProfiles } from '../profile/store.ts';
import {
  cheapKeyring,
  committed,
  DAY,
  install,
  PASSPHRASE,
  random,
  START,
  scopeOf,
  TRUST_DOMAIN,
} from '../testdata/installation.ts';
import { createHierarchy } from './create.ts';
import { openOfflineRoot, rootKeyName } from './offline-root.ts';
import { openAuthority } from './open.ts';

const folder = await mkdtemp(join(tmpdir(), 'writ-create-'));
after(() => rm(folder, { recursive: true }));

onBothEngines('three levels, each active, each with its life and its place', async (parts) => {
  const { root, intermediate, issuing } = await install(parts);
  const hierarchy = (await readHierarchy(parts.database))!;
  assert.deepEqual(
    [hierarchy.trustDomain, hierarchy.algorithm, hierarchy.root],
    [TRUST_DOMAIN, 'ecdsa-p256', 'online'],
  );
  assert.deepEqual(
    [...hierarchy.authorities].map(({ id }) => id).sort(),
    [root.id, intermediate.id, issuing.id].sort(),
  );
  const table = [
    [root, 'root', 3652, 2, undefined],
    [intermediate, 'intermediate', 1096, 1, root.id],
    [issuing, 'issuing', 120, 0, intermediate.id],
  ] as const;
  for (const [made, kind, days, pathLength, issuer] of table) {
    const stored = hierarchy.authorities.find(({ id }) => id === made.id)!;
    assert.deepEqual(stored, made);
    const { certificate } = stored;
    assert.deepEqual([stored.kind, stored.state, stored.issuer], [kind, 'active', issuer]);
    assert.equal(certificate.notAfter, START - 250 + days * DAY);
    assert.equal(stored.signsUntil, certificate.notAfter);
    assert.match(formatName(certificate.subject), new RegExp(`^CN=\\w+ CA ${made.id},O=agents.example.com$`));
    const basic = certificate.extensions.find(({ oid }) => oid === BASIC_CONSTRAINTS)!;
    assert.deepEqual(decodeBasicConstraints(basic.value), { ca: true, pathLength });
  }
  assert.deepEqual(chainOf(hierarchy.authorities, issuing.id), [issuing, intermediate]);
});

onBothEngines('everything is on the ledger, the certificates whole', async (parts) => {
  const { root, intermediate, issuing } = await install(parts);
  const created = parts.events.filter(({ type }) => type === 'authority.created');
  assert.deepEqual(
    created.map(({ body }) => parseCertificate(Buffer.from(body['certificate'] as string, 'base64url')).raw),
    [root, intermediate, issuing].map(({ certificate }) => Buffer.from(certificate.raw)),
  );
  const rows = await parts.database.all('SELECT id, leaf FROM authority ORDER BY leaf');
  for (const { id, leaf } of rows) assert.equal(parts.events[leaf as number]!.body['authority'], id);
  assert.deepEqual(
    parts.events.map(({ type }) => type),
    [
      'authority.created',
      'authority.created',
      'authority.created',
      'crl.signed',
      'crl.signed',
      ...Array(4).fill('profile.published'),
    ],
  );
  assert.ok(!JSON.stringify(parts.events).includes('PRIVATE'));
});

onBothEngines('root and intermediate have their first lists, the root’s good for a year', async (parts) => {
  const { root, intermediate } = await install(parts);
  const { crls } = (await readHierarchy(parts.database))!;
  const days = (id: string) => {
    const crl = crls.find(({ authority }) => authority === id)!;
    assert.equal(parseCrl(crl.der).nextUpdate, crl.nextUpdate);
    return (crl.nextUpdate - (START - 250)) / DAY;
  };
  assert.deepEqual([days(root.id), days(intermediate.id)], [365, 30]);
});

onBothEngines('the keys open with the passphrase, each for its own authority', async (parts) => {
  const made = await install(parts, { algorithm: 'ml-dsa-65' });
  const keyring = await openKeyring(parts.database, PASSPHRASE);
  for (const authority of [made.root, made.intermediate, made.issuing]) {
    const issuer = await openAuthority(parts.database, keyring, authority, TRUST_DOMAIN);
    assert.deepEqual([issuer.algorithm, issuer.spki], ['ml-dsa-65', authority.certificate.spki]);
  }
  const swapped = { ...made.root, keyId: made.issuing.keyId! };
  await assert.rejects(openAuthority(parts.database, keyring, swapped, TRUST_DOMAIN), (error) =>
    isWritError(error, 'signer_failed'),
  );
});

onBothEngines('the built-in profiles are there', async (parts) => {
  await install(parts, { scope: scopeOf({ loopback: true }) });
  const profiles = await readProfiles(parts.database);
  assert.deepEqual(
    profiles.map(({ profile, version }) => [profile.name, version]),
    [
      ['agent', 1],
      ['operator', 1],
      ['server', 1],
      ['service', 1],
    ],
  );
  assert.deepEqual((await readProfile(parts.database, 'server'))!.profile.networks, ['127.0.0.0/8', '::1/128']);
  assert.equal(await readProfile(parts.database, 'other'), undefined);
});

onBothEngines('a second hierarchy in one database is refused whole', async (parts) => {
  await install(parts);
  const keyring = await openKeyring(parts.database, PASSPHRASE);
  const batch = newBatch();
  await createHierarchy(batch, {
    scope: scopeOf(),
    algorithm: 'ed25519',
    profiles: [],
    keyring,
    now: START,
    random,
    caller: 'x',
  });
  assert.equal((await parts.commit(batch)).committed, false);
  assert.equal((await readHierarchy(parts.database))!.authorities.length, 3);
});

let files = 0;
onBothEngines('with the root key out, it is in its file and nowhere else', async (parts) => {
  const rootKeyOut = join(folder, `root-${files++}.key`);
  const { root, keyring } = await install(parts, { rootKeyOut });
  const hierarchy = (await readHierarchy(parts.database))!;
  assert.equal(hierarchy.root, 'offline');
  assert.equal(hierarchy.authorities.find(({ kind }) => kind === 'root')!.keyId, undefined);
  const rows = await parts.database.all('SELECT id FROM sealed_key');
  assert.ok(rows.length === 2 && rows.every(({ id }) => id !== root.id));
  assert.equal((await stat(rootKeyOut)).mode & 0o777, 0o600);
  await assert.rejects(openAuthority(parts.database, keyring, root, TRUST_DOMAIN), (error) =>
    isWritError(error, 'not_found'),
  );
  const issuer = await openOfflineRoot(hierarchy, { path: rootKeyOut, passphrase: PASSPHRASE });
  assert.deepEqual(issuer.spki, root.certificate.spki);
  await readKeyFile(rootKeyOut, { name: rootKeyName(root.id), keyring }, '--root-key');
});

onBothEngines('an existing key file is not overwritten, and then nothing is made', async (parts) => {
  const rootKeyOut = join(folder, `taken-${files++}.key`);
  await install(parts, { rootKeyOut });
  const batch = newBatch();
  const keyring = await cheapKeyring(batch, START);
  const options = {
    scope: scopeOf(),
    algorithm: 'ecdsa-p256',
    profiles: [],
    keyring,
    now: START,
    random,
    caller: 'x',
    rootKeyOut,
  } as const;
  await assert.rejects(createHierarchy(batch, options), (error) => isWritError(error, 'conflict'));
});

onBothEngines('a trust domain that authorities cannot be confined to is refused', async (parts) => {
  for (const trustDomain of ['10.0.0.1', 'localhost'] as (typeof TRUST_DOMAIN)[]) {
    await assert.rejects(
      install(parts, { scope: scopeOf({ trustDomain }) }),
      (error) => isWritError(error, 'bad_spiffe_id') && error.field === '--trust-domain',
    );
  }
  assert.equal(await readHierarchy(parts.database), undefined);
  await committed(parts, newBatch());
});
