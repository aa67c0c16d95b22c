/** What a label of a join token or registration entry lets come back: nothing, neither while it is held nor after its stop. */
import assert from 'node:assert/strict';
import { onEachEngine } from '../../test/engines.ts';
import {
  ADA,
  ANONYMOUS,
  createInstallation,
  type Installation,
  newKey,
  newToken,
  register,
} from '../../test/installation.ts';
import { listEntries } from '../attest/entry/store.ts';
import type { Caller } from '../base/access.ts';
import { isWritError } from '../base/error.ts';
import type { CommitBatch } from '../db/batch.ts';
import { enrol } from '../issuance/enrol.ts';
import type { IssuedCertificate } from '../issuance/issued.ts';
import { entry, oidc, token as oidcToken, type Parts, present, scene } from '../issuance/testdata/evidence-scene.ts';
import { quarantine } from './quarantine.ts';
import { releaseStop } from './release.ts';
import { stopForEver } from './stop.ts';
import { wouldFall } from './would-fall.ts';

const ADMINISTRATOR: Caller = { kind: 'system', id: 'system:administrator' };
const cause = 'session_replay';
const target = { kind: 'label', name: 'fleet=blue' } as const;

type Token = Awaited<ReturnType<typeof newToken>>;

async function comeIn({ issuance }: Installation, token: Token, commit?: CommitBatch): Promise<IssuedCertificate> {
  await issuance.refresh();
  const parts = commit === undefined ? issuance : { ...issuance, commit };
  return enrol(ANONYMOUS, { evidence: await token.attest(), csr: await newKey().csr() }, parts);
}

const inactive = (error: unknown): boolean => isWritError(error, 'inactive');

onEachEngine('while a label is held nobody comes in with it', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance } = installation;
  await register(installation, 'planner');
  const [blue, green] = [
    await newToken(installation, { agent: 'planner', labels: { fleet: 'blue', x: 'y' }, uses: 5 }),
    await newToken(installation, { agent: 'planner', labels: { fleet: 'green' }, uses: 5 }),
  ];
  await comeIn(installation, blue);
  const falls = await wouldFall(ADA, { target, cause, mode: 'quarantine' }, issuance);
  const stop = await quarantine(ADA, { target, cause }, issuance);
  const issued = async (): Promise<number> =>
    (await installation.events()).filter(({ type }) => type === 'certificate.issued').length;
  const before = await issued();
  await assert.rejects(comeIn(installation, blue), inactive);
  assert.equal(await issued(), before);
  assert.deepEqual(falls.tokens, [blue.id]);
  await comeIn(installation, green);
  await releaseStop(ADMINISTRATOR, stop.id, issuance);
  await comeIn(installation, blue);
  // Nor in the instant of the hold.
  const late: CommitBatch = async (batch) => {
    await quarantine(ADA, { target, cause }, issuance);
    return issuance.commit(batch);
  };
  await assert.rejects(comeIn(installation, blue, late), inactive);
  await installation.close();
});

const labels = { fleet: 'blue', x: 'y' };

/** Whoever is at the repository of this name, with a fresh token of the issuer. */
async function comeInBy(installation: Installation, parts: Parts, name: string, commit?: CommitBatch) {
  await installation.issuance.refresh();
  const given =
    commit === undefined ? installation : { ...installation, issuance: { ...installation.issuance, commit } };
  return present(given, parts, oidc(oidcToken({ sub: `repo:example/${name}` })));
}

onEachEngine('nor by a registration entry', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance } = installation;
  const parts = await scene(installation);
  const blue = await entry(parts, { match: ['oidc:sub=repo:example/blue'], labels });
  await entry(parts, { match: ['oidc:sub=repo:example/green'], labels: { fleet: 'green' } });
  await comeInBy(installation, parts, 'blue');
  const falls = await wouldFall(ADA, { target, cause, mode: 'quarantine' }, issuance);
  assert.deepEqual(falls.entries, [blue.id]);
  const stop = await quarantine(ADA, { target, cause }, issuance);
  await assert.rejects(comeInBy(installation, parts, 'blue'), inactive);
  await comeInBy(installation, parts, 'green');
  await releaseStop(ADMINISTRATOR, stop.id, issuance);
  await comeInBy(installation, parts, 'blue');
  const late: CommitBatch = async (batch) => {
    await quarantine(ADA, { target, cause }, issuance);
    return issuance.commit(batch);
  };
  await assert.rejects(comeInBy(installation, parts, 'blue', late), inactive);
  await installation.close();
});

onEachEngine('when it was stopped for ever, registration entries that give it are gone', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance, database } = installation;
  const parts = await scene(installation);
  const many = await Promise.all(
    Array.from({ length: 70 }, (_, i) => entry(parts, { match: [`oidc:sub=repo:example/blue-${i}`], labels })),
  );
  const green = await entry(parts, {
    match: ['oidc:sub=repo:example/green'],
    labels: { fleet: 'blue-2', x: 'fleet=blue' },
  });
  await comeInBy(installation, parts, 'blue-3');
  const before = (await installation.events()).length;
  const falls = await wouldFall(ADA, { target, cause, mode: 'revocation' }, issuance);
  assert.deepEqual(falls.entries, many.map(({ id }) => id).sort());
  const { id } = await stopForEver(ADA, { target, cause }, issuance);
  await assert.rejects(comeInBy(installation, parts, 'blue-3'), (error) => isWritError(error, 'evidence_refused'));
  await comeInBy(installation, parts, 'green');
  assert.deepEqual(
    (await listEntries(database, {}, {})).items.map((left) => left.id),
    [green.id],
  );
  const events = await installation.events(before);
  const removed = events.filter(({ type }) => type === 'entry.removed');
  assert.deepEqual(removed.map(({ body }) => body['entry']).sort(), falls.entries);
  assert.ok(removed.every(({ body }) => body['cascade_origin'] === id && body['caller'] === ADA.id));
  assert.equal(events.find(({ type }) => type === 'stop.completed')?.body['entries'], many.length);
  await installation.close();
});

onEachEngine('when it was stopped for ever, tokens that give it let nobody in any more', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance } = installation;
  await register(installation, 'planner');
  const token = (labels: Record<string, string>): Promise<Token> =>
    newToken(installation, { agent: 'planner', labels, uses: 5 });
  const [blue, green, blueish] = [
    await token({ fleet: 'blue' }),
    await token({ fleet: 'green' }),
    await token({ fleet: 'blue-2' }),
  ];
  await comeIn(installation, blue);
  const falls = await wouldFall(ADA, { target, cause, mode: 'revocation' }, issuance);
  assert.deepEqual([falls.tokens, falls.instances.length], [[blue.id], 1]);
  assert.equal((await stopForEver(ADA, { target, cause }, issuance)).state, 'revoked');
  await assert.rejects(comeIn(installation, blue), (error) => isWritError(error, 'token_refused'));
  for (const one of [green, blueish]) await comeIn(installation, one);
  assert.equal(
    (await installation.events()).find(({ type }) => type === 'stop.completed')?.body['tokens'],
    'withdrawn',
  );
  await installation.close();
});
