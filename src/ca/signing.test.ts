import assert from 'node:assert/strict';
import { onBothEngines, type StoreParts } from '../../test/stores.ts';
import { isWritError } from '../base/error.ts';
import { newBatch } from '../db/batch.ts';
import type { Authority } from './authority.ts';
import { createBelowExternalRoot } from './create.ts';
import { readHierarchy } from './hierarchy.ts';
import type { Issuer } from './issuer.ts';
import { maintain } from './maintain.ts';
import { openAuthority } from './open-authority.ts';
import { addProfile, readProfile } from './profile-store.ts';
import { Signing } from './signing.ts';
import {
  cheapKeyring,
  committed,
  DAY,
  type Installation,
  install,
  random,
  START,
  scopeOf,
  TRUST_DOMAIN,
} from './testdata/installation.ts';

interface Thread extends Installation {
  readonly signing: Signing;
  /** Ids of the authorities whose keys were opened, in order. */
  readonly opened: string[];
  maintain(): Promise<unknown>;
}

async function thread(parts: StoreParts): Promise<Thread> {
  const own = await install(parts);
  const opened: string[] = [];
  const open = (authority: Authority): Promise<Issuer> => {
    opened.push(authority.id);
    return openAuthority(parts.database, own.keyring, authority, TRUST_DOMAIN);
  };
  const signing = await Signing.load({ reader: parts.database, clock: own.clock, open });
  const all = { ...own, reader: parts.database, commit: parts.commit, random };
  return { ...own, signing, opened, maintain: () => maintain(all) };
}

onBothEngines('knows who signs, which profiles there are, and what to send', async (parts) => {
  const { signing, issuing, intermediate } = await thread(parts);
  assert.equal(signing.issuer().id, issuing.id);
  assert.equal(signing.profile('agent')?.lifetime.default, 3600);
  assert.equal(signing.profile('other'), undefined);
  assert.deepEqual(signing.chain(issuing.id), [issuing.certificate.raw, intermediate.certificate.raw]);
  assert.deepEqual(signing.chain('other'), []);
  assert.equal(signing.authorities().length, 3);
});

onBothEngines('opens the next authority ahead, each key once, and sends the chain of whoever signed', async (parts) => {
  const { signing, opened, issuing, clock, maintain } = await thread(parts);
  clock.set(START + 89 * DAY);
  await maintain();
  await signing.reload();
  assert.equal(signing.issuer().id, issuing.id);
  assert.equal(opened.length, 2);
  clock.set(START + 90 * DAY);
  await maintain();
  assert.equal(signing.issuer().id, issuing.id);
  await signing.reload();
  assert.equal(signing.issuer().id, opened[1]);
  assert.equal(opened.length, 2);
  assert.equal(signing.chain(issuing.id).length, 2);
});

onBothEngines('an authority that has ended signs nothing, and there may be none at all', async (parts) => {
  const { signing, clock } = await thread(parts);
  clock.set(signing.issuer().notAfter + 1);
  assert.throws(
    () => signing.issuer(),
    (error) => isWritError(error, 'expired'),
  );
});

onBothEngines('waiting for somebody else’s signature', async (parts) => {
  const batch = newBatch();
  const keyring = await cheapKeyring(batch, START);
  const options = {
    scope: scopeOf(),
    algorithm: 'ed25519',
    profiles: [],
    keyring,
    now: START,
    random,
    caller: 'x',
  } as const;
  await createBelowExternalRoot(batch, options);
  await committed(parts, batch);
  const open = (): Promise<Issuer> => Promise.reject(new Error('nothing to open'));
  const signing = await Signing.load({ reader: parts.database, clock: { now: () => START }, open });
  assert.throws(
    () => signing.issuer(),
    (error) => isWritError(error, 'unavailable'),
  );
});

onBothEngines('a reading that fails leaves everything as it was', async (parts) => {
  const own = await thread(parts);
  let fails = false;
  const signing = await Signing.load({
    reader: {
      all: (sql, params) => (fails ? Promise.reject(new Error('gone')) : parts.database.all(sql, params)),
      get: (sql, params) => parts.database.get(sql, params),
    },
    clock: own.clock,
    open: (authority) => openAuthority(parts.database, own.keyring, authority, TRUST_DOMAIN),
  });
  fails = true;
  await assert.rejects(signing.reload(), /gone/);
  assert.equal(signing.issuer().id, own.issuing.id);
  assert.equal((await readHierarchy(parts.database))?.authorities.length, 3);
});

onBothEngines(
  'a published profile takes effect with the next reading, and its predecessor is not lost sight of',
  async (parts) => {
    const { signing } = await thread(parts);
    const before = (await readProfile(parts.database, 'agent'))!;
    const lifetime = { default: 600, least: 300, most: 3600 };
    const publish = async (): Promise<boolean> => {
      const batch = newBatch();
      addProfile(batch, { ...before.profile, lifetime }, before, { now: START + 1, caller: 'x' });
      assert.ok(batch.bumpsEpoch);
      return (await parts.commit(batch)).committed;
    };
    assert.deepEqual([await publish(), await publish()], [true, false]);
    assert.equal(signing.profile('agent')?.lifetime.default, 3600);
    await signing.reload();
    assert.equal(signing.profile('agent')?.lifetime.default, 600);
    assert.equal((await readProfile(parts.database, 'agent'))?.version, 2);
    const event = parts.events.findLast(({ type }) => type === 'profile.published')!;
    assert.deepEqual(event.subjects, ['profile:agent']);
    assert.deepEqual((event.body['profile'] as { lifetime: unknown }).lifetime, lifetime);
  },
);
