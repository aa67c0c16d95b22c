/** What is said of certificates whose authority is quarantined or stopped for ever. */
import assert from 'node:assert/strict';
import { onEachEngine } from '../../../test/engines.ts';
import { ADA, createInstallation, type Installation, letIn } from '../../../test/installation.ts';
import type { Caller } from '../../base/access.ts';
import { rotateIssuing } from '../../ca/authority/maintain.ts';
import { activeOf } from '../../ca/authority.ts';
import { pushHeld, readRevoked } from '../../ca/crl/revoked.ts';
import { readCertificate } from '../../ca/index/certificates.ts';
import type { Cause } from '../../ca/revocation-cause.ts';
import { type Batch, newBatch } from '../../db/batch.ts';
import type { RecordedEvent } from '../../ledger/entry.ts';
import { finishStops } from '../../revocation/finish.ts';
import type { CordParts } from '../../revocation/parts.ts';
import { quarantine } from '../../revocation/quarantine.ts';
import { releaseStop } from '../../revocation/release.ts';
import { replayRevocations } from '../../revocation/replay.ts';
import { revokeCertificate } from '../../revocation/revoke.ts';
import { stopForEver } from '../../revocation/stop.ts';
import { parseCertificate } from '../../x509/certificate.ts';
import { parseOcspResponse } from '../../x509/ocsp-response.ts';
import { ask, question, scene } from '../testdata/ocsp-scene.ts';

/** Needs no second person. */
const ADMINISTRATOR: Caller = { kind: 'system', id: 'system:administrator' };

const cordOf = ({ issuance, random }: Installation): CordParts => ({ ...issuance, random, massStop: 100 });
const second = (ms: number): number => ms - (ms % 1000);

onEachEngine('leaves of a held authority are held, and good again when it is released', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { answers, issued, issuing, authority } = await scene(installation);
  const { clock } = installation;
  const issuer = issuing();
  const certificate = parseCertificate(issued.der);
  const revoked = await letIn(installation, { agent: 'planner' });
  const unasked = parseCertificate((await letIn(installation, { agent: 'planner' })).der);
  const status = (one = certificate, nonce?: Uint8Array) =>
    ask(answers, one, issuer.certificate, { now: clock.now(), ...(nonce && { nonce }) });
  assert.equal(await status(), 'good');
  await revokeCertificate(ADA, { serial: revoked.serial, cause: 'key_theft' }, installation.issuance);
  const revokedAt = second(clock.now());
  installation.advance(60_000);

  const target = { kind: 'authority', name: issuer.id } as const;
  const stop = await quarantine(ADA, { target, cause: 'policy_change' }, cordOf(installation));
  const held = `revoked ${second(stop.stoppedAt)} certificateHold`;
  assert.equal(await status(), held, 'what was signed as good is forgotten');
  assert.equal(await status(unasked), held);
  assert.equal(await status(certificate, new Uint8Array(16)), held);
  assert.equal(await status(parseCertificate(revoked.der)), `revoked ${revokedAt} keyCompromise`, 'as by itself');
  const serial = certificate.serial.slice();
  serial[19]! ^= 1;
  assert.equal(await status({ ...certificate, serial }), 'unknown', 'never issued');
  // The authority itself, by the one above it.
  const above = activeOf(authority.authorities(), 'intermediate')!.certificate;
  assert.equal(await ask(answers, issuer.certificate, above, { now: clock.now() }), held);
  installation.advance(3_600_001);
  assert.equal(await status(), held, 'expired, and still so');

  await releaseStop(ADMINISTRATOR, stop.id, cordOf(installation));
  assert.equal(await status(), 'good');
  assert.equal(await status(parseCertificate(revoked.der)), `revoked ${revokedAt} keyCompromise`);
  await installation.close();
});

onEachEngine('leaves of an authority that is stopped for ever are revoked, for its reason', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { answers, issued, issuing } = await scene(installation);
  const { clock } = installation;
  const certificate = parseCertificate(issued.der);
  const mine = await letIn(installation, { agent: 'planner' });
  const batch = newBatch();
  pushHeld(batch, (await readCertificate(installation.issuance.certificates, mine.serial))!, { at: clock.now() });
  batch.bumpsEpoch = true;
  batch.events.push({ type: 'certificate.quarantined', subjects: [], body: {} });
  await installation.commit(batch);
  const heldAt = second(clock.now());
  const causes: readonly [Cause, string][] = [
    ['authority_compromise', 'cACompromise'],
    ['key_theft', 'cACompromise'],
    ['decommissioned', 'cessationOfOperation'],
  ];
  const cord = cordOf(installation);
  const { database, commit, keyring, random } = installation;
  for (const [index, [cause, reason]] of causes.entries()) {
    const authority = issuing();
    const leaf = index === 0 ? certificate : parseCertificate((await letIn(installation, { agent: 'planner' })).der);
    const status = (one = leaf) => ask(answers, one, authority.certificate, { now: clock.now() });
    assert.equal(await status(), 'good');
    const target = { kind: 'authority', name: authority.id } as const;
    const held = await quarantine(ADA, { target, cause }, cord);
    assert.equal(await status(), `revoked ${second(held.stoppedAt)} certificateHold`);
    if (index === 0) assert.equal(await status(parseCertificate(mine.der)), `revoked ${heldAt} certificateHold`);
    installation.advance(10_000);
    const stop = await stopForEver(ADMINISTRATOR, { target, cause }, cord);
    assert.equal(stop.state, 'revoked');
    const revoked = `revoked ${second(stop.confirmedAt!)} ${reason}`;
    assert.equal(await status(), revoked);
    if (index === 0) assert.equal(await status(parseCertificate(mine.der)), revoked, 'for ever, and no longer held');
    await rotateIssuing({ reader: database, commit, clock, keyring, random });
    await installation.issuance.refresh();
    assert.equal(await status(), revoked, 'also when another one signs');
  }
  await installation.close();
});

onEachEngine('the responder of a stopped authority goes on, and others follow it', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { answers, issued, issuing, reads } = await scene(installation);
  const { clock } = installation;
  const issuer = issuing();
  const certificate = parseCertificate(issued.der);
  const target = { kind: 'authority', name: issuer.id } as const;
  const stop = await stopForEver(ADMINISTRATOR, { target, cause: 'authority_compromise' }, cordOf(installation));
  const revoked = `revoked ${second(stop.stoppedAt)} cACompromise`;
  const responder = async (): Promise<Uint8Array> => {
    const parsed = parseOcspResponse((await answers.answer(question(certificate, issuer.certificate))).der);
    assert.ok(parsed.kind === 'basic', JSON.stringify(parsed));
    return parsed.basic.certificates[0]!;
  };
  // Nobody had asked before: it is certified now.
  assert.equal(await ask(answers, certificate, issuer.certificate, { now: clock.now() }), revoked);
  const first = await responder();
  assert.equal(await ask(answers, parseCertificate(first), issuer.certificate, { now: clock.now() }), revoked);
  assert.deepEqual(await responder(), first, 'its own status, which nobody asks for, changes nothing');
  const before = reads.count;
  await answers.answer(question(certificate, issuer.certificate, { nonce: new Uint8Array(16) }));
  assert.equal(reads.count, before, 'nothing is read again while the epoch stays');
  installation.advance(7 * 3_600_000);
  assert.equal(await ask(answers, certificate, issuer.certificate, { now: clock.now() }), revoked);
  const next = await responder();
  assert.notDeepEqual(next, first, 'after its end');
  const { serial } = parseCertificate(next);
  await revokeCertificate(ADA, { serial, cause: 'key_theft' }, installation.issuance);
  assert.equal(await ask(answers, certificate, issuer.certificate, { now: clock.now() }), revoked);
  assert.notDeepEqual(await responder(), next, 'one that is revoked by itself answers no more');
  const responders = (await installation.events()).filter(({ body }) => body['profile'] === 'responder');
  assert.equal(responders.length, 3);
  await installation.close();
});

onEachEngine(
  'nobody below is good after an older backup, nor where a stop was cut off in the middle',
  async ({ open }) => {
    const installation = await createInstallation(await open());
    const { answers, issued, issuing } = await scene(installation);
    const { clock, database, issuance } = installation;
    const { id, issuer: above, certificate: own } = issuing();
    const certificate = parseCertificate(issued.der);
    const status = () => ask(answers, certificate, own, { now: clock.now() });
    const cord = cordOf(installation);
    const target = { kind: 'authority', name: id } as const;
    const recorded: RecordedEvent[] = [];
    const anchoring = async (batch: Batch) => {
      const from = (await installation.events()).length;
      const outcome = await installation.commit(batch);
      if (batch.anchored === true) recorded.push(...(await installation.events(from)));
      return outcome;
    };
    await stopForEver(ADMINISTRATOR, { target, cause: 'authority_compromise' }, { ...cord, commit: anchoring });
    const revoked = await status();
    assert.match(revoked, /^revoked \d+ cACompromise$/);

    const older = newBatch();
    for (const table of ['hold', 'stop', 'revoked']) older.writes.push({ sql: `DELETE FROM ${table}`, params: [] });
    older.bumpsEpoch = true;
    await installation.commit(older);
    assert.equal(await status(), 'good', 'or this shows nothing');
    for (const event of recorded) {
      const { writes } = await replayRevocations(database)([event]);
      await installation.commit({ ...newBatch(), writes: [...writes], bumpsEpoch: true });
    }
    assert.equal(await status(), revoked, 'before anything is completed');
    await finishStops({ ...issuance, reader: database });
    assert.equal(await status(), revoked);
    const listed = await readRevoked(database, own.serial);
    assert.deepEqual([listed?.issuer, listed?.reason], [above, 2], 'for the list of the one above');
    await installation.close();
  },
);
