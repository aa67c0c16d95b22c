/** What receivers are told when an authority is quarantined, released or stopped for ever. */
import assert from 'node:assert/strict';
import { onEachEngine } from '../../../test/engines.ts';
import { ADA, createInstallation, type Installation, letIn, register } from '../../../test/installation.ts';
import type { Caller } from '../../base/access.ts';
import { activeOf } from '../../ca/authority.ts';
import { formatSerial } from '../../ca/certificate/serial.ts';
import type { CurrentAuthority } from '../../issuance/current-authority.ts';
import type { CordParts } from '../../revocation/parts.ts';
import { quarantine } from '../../revocation/quarantine.ts';
import { releaseStop } from '../../revocation/release.ts';
import { stopForEver } from '../../revocation/stop.ts';
import { formatName } from '../../x509/name.ts';
import { receiver, world } from '../testdata/ssf-world.ts';
import { CREDENTIAL_CHANGE, SESSION_REVOKED } from './events.ts';
import { createStream } from './manage.ts';
import { namesOf } from './names.ts';
import { waitingSets } from './queue.ts';
import { stopsOf } from './stops.ts';

/** Needs no second person. */
const ADMINISTRATOR: Caller = { kind: 'system', id: 'system:administrator' };

async function scene(installation: Installation) {
  const { database, commit, issuance, random } = installation;
  await register(installation, 'planner');
  for (let i = 0; i < 3; i++) await letIn(installation, { agent: 'planner' });
  const it = await world({ database, commit, events: [], epoch: () => 0 });
  const authority = issuance.authority as CurrentAuthority;
  const { trustDomain, certificates } = issuance;
  const names = namesOf({ reader: database, certificates, trustDomain, authorities: () => authority.authorities() });
  const transmitter = it.transmitter('p1', { stops: stopsOf(database), names });
  const issuing = activeOf(authority.authorities(), 'issuing')!;
  const above = activeOf(authority.authorities(), 'intermediate')!;
  const cord: CordParts = { ...issuance, random, massStop: 100 };
  return { it, transmitter, issuing, above, cord, target: { kind: 'authority', name: issuing.id } as const };
}

onEachEngine(
  'a stopped authority is told as the end of its own certificate, and not of each leaf',
  async ({ open }) => {
    const installation = await createInstallation(await open());
    const { it, transmitter, issuing, above, cord, target } = await scene(installation);
    await using there = await receiver();
    const stream = await createStream(ADA, { delivery: { method: 'push', endpoint: there.url } }, it.manage);
    const serial = formatSerial(issuing.certificate.serial);
    const issuer = formatName(above.certificate.subject);
    const told = async (): Promise<Readonly<Record<string, unknown>>[]> => {
      const before = there.tokens.length;
      await it.turn(transmitter);
      await it.turn(transmitter);
      return there.tokens.slice(before).map(it.claimsOf);
    };
    const sub_id = { format: 'opaque', id: `authority:${issuing.id}` };

    const held = await quarantine(ADA, { target, cause: 'policy_change' }, cord);
    const [hold, ...more] = await told();
    assert.deepEqual(more, []);
    assert.deepEqual(hold!['sub_id'], sub_id, 'never the trust domain as a whole');
    const session = (hold!['events'] as Record<string, Record<string, unknown>>)[SESSION_REVOKED]!;
    const leaf = /^authority\.quarantined, ledger entry (\d+): certificate (\S+) of (.*)$/.exec(
      (session['reason_admin'] as { en: string }).en,
    )!;
    assert.deepEqual(leaf.slice(2), [serial, issuer]);
    assert.equal(session['event_timestamp'], Math.floor(held.stoppedAt / 1000));
    assert.equal(hold!['jti'], `${stream.id}.${leaf[1]}.0`);

    await releaseStop(ADMINISTRATOR, held.id, cord);
    assert.deepEqual(await told(), [], 'the end of a hold is no event of CAEP');

    await stopForEver(ADMINISTRATOR, { target, cause: 'authority_compromise' }, cord);
    const [again, end, ...others] = await told();
    assert.deepEqual(others, [], 'three certificates of instances say nothing of their own');
    assert.deepEqual(Object.keys(again!['events'] as object), [SESSION_REVOKED]);
    assert.deepEqual(end!['sub_id'], sub_id);
    const { reason_admin, event_timestamp, ...change } = (end!['events'] as Record<string, Record<string, unknown>>)[
      CREDENTIAL_CHANGE
    ]!;
    assert.deepEqual(change, {
      credential_type: 'x509',
      change_type: 'revoke',
      x509_issuer: issuer,
      x509_serial: serial,
    });
    assert.match((reason_admin as { en: string }).en, /^authority\.stopped, ledger entry \d+: certificate /);
    assert.ok(Number.isInteger(event_timestamp));
    assert.deepEqual(Object.keys(end!).sort(), ['aud', 'events', 'iat', 'iss', 'jti', 'sub_id', 'txn']);
    await transmitter.end();
    await installation.close();
  },
);

onEachEngine('every stream is told what it asked for, and only what came after it was made', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { it, transmitter, cord, target } = await scene(installation);
  const { database } = installation;
  const poll = { delivery: { method: 'poll' } } as const;
  const both = await createStream(ADA, poll, it.manage);
  const ends = await createStream(ADA, { ...poll, eventsRequested: [CREDENTIAL_CHANGE] }, it.manage);
  await stopForEver(ADMINISTRATOR, { target, cause: 'authority_compromise' }, cord);
  const late = await createStream(ADA, poll, it.manage);
  await it.turn(transmitter);
  const told = async ({ id }: { readonly id: string }): Promise<string[]> =>
    (await waitingSets(database, { id, status: 'enabled' }, 100)).flatMap(({ claims }) => Object.keys(claims.events));
  assert.deepEqual(await told(both), [SESSION_REVOKED, CREDENTIAL_CHANGE]);
  assert.deepEqual(await told(ends), [CREDENTIAL_CHANGE]);
  assert.deepEqual(await told(late), []);
  await transmitter.end();
  await installation.close();
});
