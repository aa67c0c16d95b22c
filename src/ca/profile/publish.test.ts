import assert from 'node:assert/strict';
import { onBothEngines } from '../../../test/stores.ts';
import type { AccessRequest, Authorize, Caller } from '../../base/access.ts';
import { isWritError } from '../../base/error.ts';
import { requestRotation, showAuthorities, showAuthority } from '../authority/show.ts';
import { install, START } from '../testdata/installation.ts';
import { publishProfile, showProfile, showProfiles } from './publish.ts';

const caller: Caller = { kind: 'operator', id: 'spiffe://agents.example.com/operator/ada', operator: 'ada' };
const allow: Authorize = () => ({ allowed: true, rules: [], policyVersion: 1 });
const refuse: Authorize = () => ({ allowed: false, rules: ['r'], reasons: ['No.'], policyVersion: 1 });
const code = (code: Parameters<typeof isWritError>[1], field?: string) => (error: unknown) =>
  isWritError(error, code) && (field === undefined || error.field === field);

const NIGHTLY = {
  name: 'nightly',
  subjects: ['agent'],
  keys: ['ed25519'],
  lifetime: { default: 600, least: 300, most: 3600 },
  dns: [],
  networks: [],
  context: true,
  revocation: 'revocable',
};

onBothEngines('a profile is published, shown, and published again as the next version', async (store) => {
  const { clock } = await install(store);
  const parts = { reader: store.database, commit: store.commit, clock, authorize: allow };
  clock.advance(1000);
  const first = await publishProfile(caller, NIGHTLY, parts);
  assert.deepEqual(first, { profile: NIGHTLY, version: 1, updatedAt: START + 1000 });
  const second = await publishProfile(caller, { ...NIGHTLY, context: false }, parts);
  assert.equal(second.version, 2);
  assert.deepEqual(await showProfile(caller, 'nightly', parts), second);
  assert.ok((await showProfiles(caller, parts)).some(({ profile }) => profile.name === 'nightly'));
  await assert.rejects(showProfile(caller, 'other', parts), code('not_found'));
  const event = store.events.findLast(({ type }) => type === 'profile.published')!;
  assert.deepEqual([event.body['caller'], event.body['version']], [caller.id, 2]);
  await publishProfile(caller, NIGHTLY, parts, { dryRun: true });
  assert.equal((await showProfile(caller, 'nightly', parts)).version, 2);
});

onBothEngines('what no authority can vouch for, and what policy does not allow, is not published', async (store) => {
  const { clock } = await install(store);
  const parts = { reader: store.database, commit: store.commit, clock, authorize: allow };
  const outside = { ...NIGHTLY, dns: ['example.org'] };
  await assert.rejects(publishProfile(caller, outside, parts), code('bad_request', '/dns/0'));
  await assert.rejects(publishProfile(caller, NIGHTLY, { ...parts, authorize: refuse }), code('denied'));
  await assert.rejects(showProfiles(caller, { ...parts, authorize: refuse }), code('denied'));
  await assert.rejects(showProfile(caller, 'agent', { ...parts, authorize: refuse }), code('denied'));
  assert.equal((await showProfiles(caller, parts)).length, 4);
});

onBothEngines('authorities are shown with what falls due, to whom policy lets see them', async (store) => {
  const { clock, issuing } = await install(store);
  const asked: AccessRequest[] = [];
  const authorize: Authorize = (request) => {
    asked.push(request);
    return allow(request);
  };
  const parts = { reader: store.database, clock, authorize };
  const { authorities, due } = await showAuthorities(caller, parts);
  assert.deepEqual([authorities.length, due.length], [3, 0]);
  assert.equal((await showAuthority(caller, issuing.id, parts)).id, issuing.id);
  await assert.rejects(showAuthority(caller, 'other', parts), code('not_found'));
  await assert.rejects(showAuthorities(caller, { ...parts, authorize: refuse }), code('denied'));
  assert.deepEqual([...new Set(asked.map(({ action }) => action))], ['authority.read']);
});

onBothEngines('a rotation is asked for, and only then done', async (store) => {
  const { issuing } = await install(store);
  const told: string[] = [];
  const rotate = async (by: string) => {
    told.push(by);
    return issuing;
  };
  await assert.rejects(requestRotation(caller, { authorize: refuse }, rotate), code('denied'));
  assert.equal(told.length, 0);
  assert.equal(await requestRotation(caller, { authorize: allow }, rotate), issuing);
  assert.deepEqual(told, [caller.id]);
});
