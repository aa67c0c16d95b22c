import assert from 'node:assert/strict';
import { onBothEngines, type StoreParts } from '../../../test/stores.ts';
import { newBatch } from '../../db/batch.ts';
import { type Crl, parseCrl } from '../../x509/crl.ts';
import { findExtension } from '../../x509/extension.ts';
import { CRL_NUMBER, decodeCrlNumber } from '../../x509/extensions/crl-number.ts';
import { decodeReasonCode } from '../../x509/extensions/reason-code.ts';
import type { ListParts } from '../crl/publish-shard.ts';
import { pushHeld, pushReleased, pushRevoked } from '../crl/revoked.ts';
import { readHierarchy } from '../hierarchy.ts';
import { DAY, install, random, TRUST_DOMAIN } from '../testdata/installation.ts';
import { authoritiesWithRevoked, publishAuthorityList } from './list.ts';
import { maintain } from './maintain.ts';
import { openAuthority } from './open.ts';

async function scene(parts: StoreParts) {
  const own = await install(parts);
  const { database: reader, commit } = parts;
  const { intermediate, issuing, clock, keyring } = own;
  const lists: ListParts = {
    ...{ reader, commit, clock, statusUrl: 'http://status.agents.example.com' },
    issuer: () => openAuthority(reader, keyring, intermediate, TRUST_DOMAIN),
  };
  const change = async (push: typeof pushHeld): Promise<void> => {
    const batch = newBatch();
    const { serial, notAfter } = issuing.certificate;
    push(batch, { serial, issuer: intermediate.id, expiresAt: notAfter }, { at: clock.now() });
    await commit(batch);
  };
  const newest = async (): Promise<Crl> =>
    parseCrl((await readHierarchy(reader))!.crls.find(({ authority }) => authority === intermediate.id)!.der);
  const entries = async (): Promise<string[]> =>
    (await newest()).entries.map(
      ({ serial, extensions }) =>
        `${Buffer.from(serial).equals(issuing.certificate.serial)} ${decodeReasonCode(extensions[0]!.value)}`,
    );
  const number = async (): Promise<bigint> =>
    BigInt(decodeCrlNumber(findExtension((await newest()).extensions, CRL_NUMBER)!.value));
  return { own, change, entries, number, publish: () => publishAuthorityList(intermediate.id, lists), lists };
}

onBothEngines('an authority that is held or stopped stands on the list above it at once', async (parts) => {
  const { own, change, entries, number, publish } = await scene(parts);
  const { database: reader } = parts;
  assert.equal(await publish(), false, 'nothing to say');
  assert.deepEqual(await authoritiesWithRevoked(reader, own.clock.now()), []);
  const first = await number();
  await change(pushHeld);
  assert.deepEqual(await authoritiesWithRevoked(reader, own.clock.now()), [own.intermediate.id]);
  assert.equal(await publish(), true);
  assert.deepEqual(await entries(), ['true certificateHold']);
  assert.equal(await publish(), false, 'said already');
  const second = await number();
  assert.ok(second > first);
  await change((batch, certificate, { at }) => pushReleased(batch, certificate, { at }));
  assert.equal(await publish(), true);
  assert.deepEqual(await entries(), []);
  await change((batch, certificate, { at }) => pushRevoked(batch, certificate, { at, reason: 2 }));
  assert.equal(await publish(), true);
  assert.deepEqual(await entries(), ['true cACompromise']);
  assert.ok((await number()) > second + 1n, 'also when the clock stands still');
});

onBothEngines('what stands on the list is on the next one of the schedule, too', async (parts) => {
  const { own, change, entries, number, publish } = await scene(parts);
  await change((batch, certificate, { at }) => pushRevoked(batch, certificate, { at, reason: 2 }));
  await publish();
  const before = await number();
  own.clock.advance(16 * DAY);
  const done = await maintain({ ...own, reader: parts.database, commit: parts.commit, random });
  assert.deepEqual(
    done.map((step) => step.do),
    ['sign-crl'],
  );
  assert.deepEqual(await entries(), ['true cACompromise']);
  assert.ok((await number()) > before);
});

onBothEngines('of two that sign at once one is heard, and the list says what is so in the end', async (parts) => {
  const { own, change, entries, publish, lists } = await scene(parts);
  await change(pushHeld);
  assert.deepEqual((await Promise.all([publish(), publish()])).toSorted(), [false, true]);
  await change((batch, certificate, { at }) => pushReleased(batch, certificate, { at }));
  // Held again after this one looked, and said so by another that is quicker.
  const late = (meanwhile: () => Promise<void>): Promise<boolean> => {
    let asked = false;
    return publishAuthorityList(own.intermediate.id, {
      ...lists,
      async issuer(id) {
        if (!asked) await meanwhile();
        asked = true;
        return lists.issuer(id);
      },
    });
  };
  const done = await late(async () => {
    own.clock.advance(1000);
    await change(pushHeld);
    assert.equal(await publish(), true);
  });
  assert.equal(done, false);
  assert.deepEqual(await entries(), ['true certificateHold']);
  // The one that is quicker does not know the last change.
  await change((batch, certificate, { at }) => pushReleased(batch, certificate, { at }));
  const again = await late(async () => {
    own.clock.advance(1000);
    await change(pushHeld);
    assert.equal(await publish(), true);
    await change((batch, certificate, { at }) => pushRevoked(batch, certificate, { at, reason: 2 }));
  });
  assert.equal(again, true);
  assert.deepEqual(await entries(), ['true cACompromise']);
});
