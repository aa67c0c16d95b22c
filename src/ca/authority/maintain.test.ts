import assert from 'node:assert/strict';
import { onBothEngines, type StoreParts } from '../../../test/stores.ts';
import { isWritError } from '../../base/error.ts';
import { type Batch, newBatch } from '../../db/batch.ts';
import { changePassphrase, type Keyring, openKeyring } from '../../keys/keyring.ts';
import { Passphrase } from '../../keys/passphrase.ts';
import type { Name } from '../../spiffe-id/name.ts';
import { operatorId } from '../../spiffe-id/subject.ts';
import { parseCertificate } from '../../x509/certificate.ts';
import { parseCrl } from '../../x509/crl.ts';
import { RFC5280 } from '../../x509/path/policy.ts';
import { validatePath } from '../../x509/path/validate.ts';
import { type Authority, activeOf, chainOf, rootsOf } from '../authority.ts';
import { type Hierarchy, readHierarchy } from '../hierarchy.ts';
import type { Issuer } from '../issuer.ts';
import { builtInProfiles } from '../profile/profile.ts';
import {
  DAY,
  type Installation,
  install,
  issueLeaf,
  leafRequest,
  random,
  START,
  TRUST_DOMAIN,
} from '../testdata/installation.ts';
import { type MaintainParts, maintain, rotateIssuing } from './maintain.ts';
import { openAuthority } from './open.ts';
import { nextStep } from './rotation.ts';
import { issuerCheck } from './store.ts';

async function running(parts: StoreParts): Promise<Installation & MaintainParts> {
  const installation = await install(parts);
  return { ...installation, reader: parts.database, commit: parts.commit, random };
}

/** The issuing authority that is active now, opened. */
async function issuerNow(parts: StoreParts, own: Installation): Promise<Issuer> {
  const active = activeOf((await read(parts)).authorities, 'issuing')!;
  return openAuthority(parts.database, own.keyring, active, TRUST_DOMAIN);
}

const PROFILES = builtInProfiles({ dns: [], networks: [] });
const read = async (parts: StoreParts): Promise<Hierarchy> => (await readHierarchy(parts.database))!;
const states = (hierarchy: Hierarchy, kind: string): string =>
  hierarchy.authorities
    .filter((authority) => authority.kind === kind)
    .map(({ state }) => state)
    .sort()
    .join();

onBothEngines('a fresh installation needs nothing', async (parts) => {
  assert.deepEqual(await maintain(await running(parts)), []);
});

onBothEngines('issuing authorities succeed each other every 90 days, made a day ahead', async (parts) => {
  const own = await running(parts);
  const at = async (days: number): Promise<string> => {
    own.clock.set(START + days * DAY);
    await maintain(own);
    return states(await read(parts), 'issuing');
  };
  assert.equal(await at(88.9), 'active');
  assert.equal(await at(89), 'active,next');
  assert.equal(await at(89.9), 'active,next');
  const epoch = parts.epoch();
  assert.equal(await at(90), 'active,retired');
  assert.ok(parts.epoch() > epoch);
  const rotated = parts.events.findLast(({ type }) => type === 'authority.rotated')!;
  const [before, after] = (await read(parts)).authorities.filter(({ kind }) => kind === 'issuing') as [
    Authority,
    Authority,
  ];
  assert.deepEqual(rotated.body, {
    caller: 'system:rotation',
    authority: after.id,
    kind: 'issuing',
    previous: before.id,
  });
  assert.deepEqual(rotated.subjects, [`authority:${after.id}`, `authority:${before.id}`]);
  assert.equal(await at(178), 'active,next,retired');
});

onBothEngines('what the old one signed validates to its end, and what was in flight is recorded', async (parts) => {
  const own = await running(parts);
  const issuer = await openAuthority(parts.database, own.keyring, own.issuing, TRUST_DOMAIN);
  own.clock.set(START + 90 * DAY - 1000);
  await maintain(own);
  const request = await leafRequest({ id: operatorId(TRUST_DOMAIN, 'ada' as Name) });
  const signed = await issueLeaf({ issuer, profiles: PROFILES }, request, {
    profile: 'operator',
    now: own.clock.now(),
  });
  own.clock.advance(2000);
  await maintain(own);
  const hierarchy = await read(parts);
  assert.notEqual(activeOf(hierarchy.authorities, 'issuing')!.id, own.issuing.id);
  for (const [at, valid] of [
    [START + 100 * DAY, true],
    [signed.expiresAt - 1000, true],
    [signed.expiresAt + 1000, false],
  ] as const) {
    const [leaf, ...above] = [
      parseCertificate(signed.der),
      ...chainOf(hierarchy.authorities, signed.issuer).map((a) => a.certificate),
    ];
    const anchors = rootsOf(hierarchy.authorities).map(({ certificate }) => certificate);
    assert.equal(
      validatePath({ leaf: leaf!, intermediates: above, anchors, at, policy: RFC5280 }).valid,
      valid,
      String(at),
    );
  }
  const records = async (issuedAt: number): Promise<boolean> => {
    const batch = newBatch();
    batch.checks.push(issuerCheck(own.issuing.id, issuedAt));
    return (await parts.commit(batch)).committed;
  };
  assert.deepEqual(
    [
      await records(own.clock.now()),
      await records(own.clock.now() + 299_000),
      await records(own.clock.now() + 301_000),
    ],
    [true, true, false],
  );
});

onBothEngines('the next authority records nothing before its time', async (parts) => {
  const own = await running(parts);
  own.clock.set(START + 89 * DAY);
  await maintain(own);
  const next = (await read(parts)).authorities.find(({ state }) => state === 'next')!;
  const batch = newBatch();
  batch.checks.push(issuerCheck(next.id, own.clock.now()));
  assert.equal((await parts.commit(batch)).committed, false);
});

onBothEngines('many processes at once make one successor and one switch', async (parts) => {
  const own = await running(parts);
  for (const days of [89, 90, 179]) {
    own.clock.set(START + days * DAY);
    const done = (await Promise.all(Array.from({ length: 6 }, () => maintain(own)))).flat();
    const kinds = done.map((step) => step.do);
    assert.equal(new Set(kinds).size, kinds.length, `${days}: ${kinds}`);
    const hierarchy = await read(parts);
    const active = hierarchy.authorities.filter(({ kind, state }) => kind === 'issuing' && state === 'active');
    assert.equal(active.length, 1);
  }
  const created = parts.events.filter(({ type, body }) => type === 'authority.created' && body['kind'] === 'issuing');
  assert.equal(created.length, 3);
});

onBothEngines('by hand: the next one at once, and the same for those who ask at the same time', async (parts) => {
  const own = await running(parts);
  // Connections are there before the two begin: otherwise one waits for its own while the other is done.
  await Promise.all([read(parts), read(parts)]);
  const [a, b] = await Promise.all([rotateIssuing({ ...own, caller: 'x' }), rotateIssuing({ ...own, caller: 'x' })]);
  assert.notEqual(a.id, own.issuing.id);
  assert.equal(a.id, b.id);
  assert.equal(states(await read(parts), 'issuing'), 'active,retired');
  const c = await rotateIssuing(own);
  assert.notEqual(c.id, a.id);
  assert.equal(activeOf((await read(parts)).authorities, 'issuing')!.id, c.id);
});

onBothEngines('an intermediate makes room for its successor while it can still give whole lives', async (parts) => {
  const own = await running(parts);
  own.clock.set(START + (1096 - 120 - 60) * DAY - 1000);
  await maintain(own);
  assert.equal(states(await read(parts), 'intermediate'), 'active');
  own.clock.advance(2000);
  await maintain(own);
  const hierarchy = await read(parts);
  assert.equal(states(hierarchy, 'intermediate'), 'active,retired');
  const successor = activeOf(hierarchy.authorities, 'intermediate')!;
  own.clock.advance(91 * DAY);
  await maintain(own);
  const after = await read(parts);
  const issuing = activeOf(after.authorities, 'issuing')!;
  assert.equal(issuing.issuer, successor.id);
  assert.equal(chainOf(after.authorities, issuing.id).length, 2);
});

onBothEngines(
  'lists are renewed in time, also those of a retired intermediate, with growing numbers',
  async (parts) => {
    const own = await running(parts);
    const seen = new Map<string, number>();
    for (let day = 0; day <= 1300; day += 5) {
      own.clock.set(START + day * DAY);
      await maintain(own);
      const { authorities, crls } = await read(parts);
      for (const { id, kind, certificate } of authorities) {
        if (kind === 'issuing' || certificate.notAfter < own.clock.now()) continue;
        const crl = crls.find(({ authority }) => authority === id)!;
        assert.ok(crl.nextUpdate > own.clock.now(), `${day} ${kind}`);
        assert.ok(crl.number >= (seen.get(id) ?? 0));
        seen.set(id, crl.number);
        assert.deepEqual(parseCrl(crl.der).issuer.raw, certificate.subject.raw);
      }
    }
    assert.equal(seen.size, 3);
  },
);

onBothEngines('keys of what has expired are deleted, and the ledger says so', async (parts) => {
  const own = await running(parts);
  own.clock.set(START + 119 * DAY);
  await maintain(own);
  assert.ok((await read(parts)).authorities.every(({ keyId }) => keyId !== undefined));
  own.clock.set(START + 121 * DAY);
  await maintain(own);
  const gone = (await read(parts)).authorities.filter(({ keyId }) => keyId === undefined);
  assert.deepEqual(
    gone.map(({ id }) => id),
    [own.issuing.id],
  );
  assert.equal(await parts.database.get('SELECT 1 AS found FROM sealed_key WHERE id = ?', [own.issuing.id]), undefined);
  assert.deepEqual(parts.events.findLast(({ type }) => type === 'authority.retired')!.subjects, [
    `authority:${own.issuing.id}`,
  ]);
});

onBothEngines('a machine that slept for years is brought up to date before the first request', async (parts) => {
  const own = await running(parts);
  own.clock.set(START + 4 * 366 * DAY);
  const done = await maintain(own);
  assert.deepEqual(done.map((step) => step.do).sort(), [
    'delete-key',
    'delete-key',
    'make-intermediate',
    'make-next-issuing',
    'sign-crl',
    'take-over',
  ]);
  assert.ok((await issuerNow(parts, own)).notAfter > own.clock.now() + 119 * DAY);
  assert.deepEqual(await maintain(own), []);
});

onBothEngines('near the end of the root lives get shorter, and nothing is made over and over', async (parts) => {
  const own = await running(parts);
  let steps = 0;
  for (let day = 3300; day < 3652; day += 1) {
    own.clock.set(START + day * DAY);
    steps += (await maintain(own)).length;
  }
  assert.ok(steps < 60, `${steps} steps in the last year`);
  const { authorities } = await read(parts);
  const issuing = activeOf(authorities, 'issuing')!;
  assert.ok(issuing.certificate.notAfter <= own.root.certificate.notAfter);
  assert.ok(issuing.certificate.notAfter >= own.root.certificate.notAfter - 2000);
});

onBothEngines('under a keyring of before the passphrase changed nothing is added, and it says why', async (parts) => {
  const own = await running(parts);
  const batch = newBatch();
  const passphrase = new Passphrase(Buffer.from('quite another one'));
  const derivation = { memory: 8192, passes: 1, lanes: 1, salt: random(16) };
  await changePassphrase(batch, parts.database, own.keyring, { passphrase, now: START, random, derivation });
  await parts.commit(batch);
  own.clock.set(START + 89 * DAY);
  await assert.rejects(
    maintain(own),
    (error) => isWritError(error, 'conflict') && error.message.includes('passphrase'),
  );
  const keyring: Keyring = await openKeyring(parts.database, passphrase);
  assert.equal((await maintain({ ...own, keyring })).length > 0, true);
});

onBothEngines('a rotation under load fails no request', async (parts) => {
  const own = await running(parts);
  own.clock.set(START + 89 * DAY);
  await maintain(own);
  const request = await leafRequest();
  const issuers = new Set<string>();
  let refused = 0;
  const thread = async (reloadAt: number): Promise<void> => {
    let issuer = await issuerNow(parts, own);
    for (let n = 0; n < 60; n++) {
      // The epoch reaches threads at different times; until then they sign under the authority that they know.
      if (n === reloadAt) issuer = await issuerNow(parts, own);
      const signed = await issueLeaf({ issuer, profiles: PROFILES }, request, { now: own.clock.now() });
      const batch: Batch = newBatch();
      batch.checks.push(issuerCheck(signed.issuer, signed.issuedAt));
      if (!(await parts.commit(batch)).committed) refused++;
      issuers.add(signed.issuer);
    }
  };
  const switching = async (): Promise<void> => {
    own.clock.set(START + 90 * DAY);
    await maintain(own);
  };
  await Promise.all([thread(30), thread(45), thread(59), switching()]);
  assert.equal(refused, 0);
  assert.equal(issuers.size, 2);
});

onBothEngines('a step is worked out from what is stored and the time alone', async (parts) => {
  await running(parts);
  const hierarchy = await read(parts);
  const at = (now: number, change: Partial<Hierarchy> = {}) =>
    nextStep({ ...hierarchy, ...change }, { now, issuingLifetime: 120 * 86_400 })?.do;
  assert.equal(at(START), undefined);
  assert.equal(at(START + 89 * DAY), 'make-next-issuing');
  assert.equal(at(START + 1000 * DAY), 'make-intermediate');
  // Without the root's key the intermediate is for a person to bring; the rest goes on.
  assert.equal(at(START + 1000 * DAY, { root: 'offline' }), 'make-next-issuing');
  // Without a valid intermediate there is nothing that could be done here.
  assert.equal(at(START + 1097 * DAY, { root: 'offline', crls: [] }), 'sign-crl');
  assert.equal(at(START, { authorities: [], crls: [] }), undefined);
});
