import assert from 'node:assert/strict';
import { onEachEngine } from '../../../test/engines.ts';
import { ADA, createInstallation, type Installation, letIn } from '../../../test/installation.ts';
import { rotateIssuing } from '../../ca/authority/maintain.ts';
import { activeOf } from '../../ca/authority.ts';
import { pushHeld, pushReleased } from '../../ca/crl/revoked.ts';
import { readCertificate } from '../../ca/index/certificates.ts';
import { OCSP_VALIDITY } from '../../ca/ocsp/sign.ts';
import { newBatch } from '../../db/batch.ts';
import type { IssuedCertificate } from '../../issuance/issued.ts';
import { certificateList } from '../../report/certificates.ts';
import { certificateCheck } from '../../report/index-check.ts';
import { revokeCertificate } from '../../revocation/revoke.ts';
import { parseCertificate } from '../../x509/certificate.ts';
import { encodeCertId } from '../../x509/ocsp-cert-id.ts';
import { encodeOcspRequest } from '../../x509/ocsp-request.ts';
import { parseOcspResponse } from '../../x509/ocsp-response.ts';
import { judgeOcspResponse } from '../../x509/ocsp-verify.ts';
import { ask, question, scene } from '../testdata/ocsp-scene.ts';

async function hold(installation: Installation, { serial }: IssuedCertificate, push: typeof pushHeld): Promise<void> {
  const batch = newBatch();
  const row = (await readCertificate(installation.issuance.certificates, serial))!;
  push(batch, row, { at: installation.clock.now() });
  batch.bumpsEpoch = true;
  batch.events.push({ type: 'certificate.revoked', subjects: [], body: {} });
  assert.ok((await installation.commit(batch)).committed);
}

onEachEngine('answers say what the store says, at once', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { answers, issued, issuing } = await scene(installation);
  const { clock } = installation;
  const certificate = parseCertificate(issued.der);
  const second = parseCertificate((await letIn(installation, { agent: 'planner' })).der);
  const issuer = issuing().certificate;
  const status = (one = certificate) => ask(answers, one, issuer, { now: clock.now() });
  assert.equal(await status(), 'good');
  assert.equal(await ask(answers, certificate, issuer, { now: clock.now(), hash: 'sha256' }), 'good');
  assert.equal(await ask(answers, certificate, issuer, { now: clock.now(), nonce: new Uint8Array(32) }), 'good');
  const serial = certificate.serial.slice();
  serial[19]! ^= 1;
  assert.equal(await status({ ...certificate, serial }), 'unknown');
  assert.equal(await status({ ...certificate, serial: Uint8Array.of(5) }), 'unknown');

  await hold(installation, issued, pushHeld);
  const second0 = (ms: number): number => ms - (ms % 1000);
  assert.equal(await status(), `revoked ${second0(clock.now())} certificateHold`);
  await hold(installation, issued, pushReleased);
  assert.equal(await status(), 'good');

  const revokedAt = second0(clock.now());
  await revokeCertificate(ADA, { serial: issued.serial, cause: 'key_theft' }, installation.issuance);
  assert.equal(await status(), `revoked ${revokedAt} keyCompromise`);
  installation.advance(3_600_001);
  assert.equal(await status(), `revoked ${revokedAt} keyCompromise`, 'expired, and still so');
  assert.equal(await status(second), 'good', 'expired and never revoked');

  const both = encodeOcspRequest([encodeCertId(certificate, issuer), encodeCertId(second, issuer)], new Uint8Array(16));
  const parsed = parseOcspResponse((await answers.answer(both)).der);
  assert.ok(parsed.kind === 'basic');
  assert.deepEqual(
    parsed.basic.responses.map((one) => one.status.kind),
    ['revoked', 'good'],
  );
  await installation.close();
});

onEachEngine('an answer is kept for half a minute, unless the epoch moves or there is a nonce', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { answers, issued, issuing, reads } = await scene(installation);
  const asked = question(parseCertificate(issued.der), issuing().certificate);
  const first = await answers.answer(asked);
  assert.equal(answers.answer(asked), first, 'without waiting for anything');
  assert.equal(first.keep!.nextUpdate - first.keep!.thisUpdate, OCSP_VALIDITY);
  installation.advance(29_000);
  assert.equal(await answers.answer(asked), first);
  const before = reads.count;
  installation.advance(2000);
  const later = await answers.answer(asked);
  assert.notEqual(later.keep!.tag, first.keep!.tag);
  assert.equal(later.keep!.thisUpdate - first.keep!.thisUpdate, 31_000);
  assert.equal(reads.count, before, 'the status is known while the epoch stays');
  const nonce = question(parseCertificate(issued.der), issuing().certificate, { nonce: new Uint8Array(16) });
  const own = await answers.answer(nonce);
  assert.equal(own.keep, undefined);
  assert.notEqual(await answers.answer(nonce), own);
  const batch = newBatch();
  batch.bumpsEpoch = true;
  batch.events.push({ type: 'certificate.revoked', subjects: [], body: {} });
  await installation.commit(batch);
  assert.notEqual(await answers.answer(asked), later);
  assert.ok(reads.count > before);
  await installation.close();
});

onEachEngine('what is held while its status is read is not called good', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { answers, issued, issuing, reads } = await scene(installation);
  const certificate = parseCertificate(issued.der);
  const second = await letIn(installation, { agent: 'planner' });
  const issuer = issuing().certificate;
  const { clock } = installation;
  // The responder is there by then, and what is read next is the status.
  await ask(answers, parseCertificate(second.der), issuer, { now: clock.now() });
  reads.during = () => hold(installation, issued, pushHeld);
  assert.match(await ask(answers, certificate, issuer, { now: clock.now() }), /^revoked /);
  reads.during = () => hold(installation, second, pushHeld);
  const nonce = new Uint8Array(32);
  assert.match(await ask(answers, parseCertificate(second.der), issuer, { now: clock.now(), nonce }), /^revoked /);
  await installation.close();
});

onEachEngine('an authority that was succeeded is still answered for, by a responder of its own', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { answers, issued, issuing, authority } = await scene(installation);
  const { clock, keyring, random, database, commit } = installation;
  const certificate = parseCertificate(issued.der);
  const former = issuing();
  await rotateIssuing({ reader: database, commit, clock, keyring, random });
  installation.advance(600_000);
  await authority.refresh();
  assert.notEqual(issuing().id, former.id);
  const later = parseCertificate((await letIn(installation, { agent: 'planner' })).der);
  const now = clock.now();
  assert.equal(await ask(answers, certificate, former.certificate, { now }), 'good');
  assert.equal(await ask(answers, later, issuing().certificate, { now }), 'good');
  assert.equal(await ask(answers, certificate, issuing().certificate, { now }), 'unknown', 'not by that one');
  const mixed = [encodeCertId(certificate, former.certificate), encodeCertId(later, issuing().certificate)];
  assert.deepEqual(parseOcspResponse((await answers.answer(encodeOcspRequest(mixed))).der), {
    kind: 'fault',
    fault: 'unauthorized',
  });
  const made = (await installation.events()).filter(
    ({ type, body }) => type === 'certificate.issued' && body['profile'] === 'responder',
  );
  assert.deepEqual(
    made.map(({ body }) => body['issuer']),
    [former.id, issuing().id],
    'each responder is on record, under the authority that it answers for',
  );
  const parts = { ...installation.issuance, chain: () => [] };
  const listed = await certificateList(ADA, {}, {}, parts);
  assert.equal(listed.items.filter(({ kind }) => kind === 'responder').length, 2);
  const findings: string[] = [];
  const check = certificateCheck(database);
  await check.entries(await installation.events(), (where, what) => void findings.push(`${where} ${what}`));
  await check.finish((where, what) => void findings.push(`${where} ${what}`));
  assert.deepEqual(findings, [], 'the index says of them what the ledger says');
  await installation.close();
});

onEachEngine('authorities are answered for by the one above, where its key is here', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { answers, issuing, authority } = await scene(installation);
  const now = installation.clock.now();
  const all = authority.authorities();
  const [root, intermediate] = [activeOf(all, 'root')!.certificate, activeOf(all, 'intermediate')!.certificate];
  assert.equal(await ask(answers, issuing().certificate, intermediate, { now }), 'good');
  assert.equal(await ask(answers, intermediate, root, { now }), 'good');
  const foreign = { ...issuing().certificate, spki: root.spki };
  assert.equal(await ask(answers, issuing().certificate, foreign, { now }), 'unauthorized');
  assert.deepEqual(parseOcspResponse((await answers.answer(new Uint8Array(3))).der), {
    kind: 'fault',
    fault: 'malformedRequest',
  });
  await installation.close();
});

onEachEngine('responders follow each other in time, and one that was revoked answers no more', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { answers, issued, issuing } = await scene(installation);
  const certificate = parseCertificate(issued.der);
  const serialOf = async (): Promise<string> => {
    const parsed = parseOcspResponse((await answers.answer(question(certificate, issuing().certificate))).der);
    assert.ok(parsed.kind === 'basic', JSON.stringify(parsed));
    return Buffer.from(parseCertificate(parsed.basic.certificates[0]!).serial).toString('hex');
  };
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 100; i++) await new Promise((resolve) => setImmediate(resolve));
  };
  const first = await serialOf();
  installation.advance(2 * 3_600_000);
  assert.equal(await serialOf(), first);
  installation.advance(2 * 3_600_000);
  assert.equal(await serialOf(), first, 'nobody waits for the next');
  await settle();
  await new Promise((resolve) => setTimeout(resolve, 200));
  installation.advance(60_000);
  const second = await serialOf();
  assert.notEqual(second, first);
  installation.advance(10 * 3_600_000);
  const third = await serialOf();
  assert.notEqual(third, second, 'after its end at once');
  await revokeCertificate(ADA, { serial: Buffer.from(third, 'hex'), cause: 'key_theft' }, installation.issuance);
  assert.notEqual(await serialOf(), third);
  await installation.close();
});

onEachEngine('nobody is answered while it is not known what was revoked', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { answers, issued, issuing } = await scene(installation);
  const asked = question(parseCertificate(issued.der), issuing().certificate);
  assert.ok((await answers.answer(asked)).keep !== undefined);
  installation.clock.advance(5001);
  const stale = await answers.answer(asked);
  assert.deepEqual(parseOcspResponse(stale.der), { kind: 'fault', fault: 'tryLater' });
  await installation.close();
});

onEachEngine(
  'while responders follow each other nobody is refused, and every answer is by one that is valid',
  async ({ open }) => {
    const installation = await createInstallation(await open());
    const { answers, issued, issuing } = await scene(installation);
    const certificate = parseCertificate(issued.der);
    const issuer = issuing().certificate;
    const responders = new Set<string>();
    const asker = async (number: number): Promise<void> => {
      for (let i = 0; i < 4; i++) {
        const nonce = new Uint8Array(16).fill(number * 16 + i);
        const asked = installation.clock.now();
        const { der } = await answers.answer(question(certificate, issuer, { nonce }));
        // Answers are for the moment at which they were asked for, or up to two steps later.
        const judged = [0, 1, 2].map((steps) =>
          judgeOcspResponse(der, { certificate, issuer, now: asked + steps * STEP, nonce }),
        );
        assert.ok(
          judged.some((one) => one.kind !== 'refused' && one.status.kind === 'good'),
          JSON.stringify(judged),
        );
        const parsed = parseOcspResponse(der);
        assert.ok(parsed.kind === 'basic');
        responders.add(Buffer.from(parseCertificate(parsed.basic.certificates[0]!).serial).toString('hex'));
      }
    };
    const STEP = 20 * 60_000;
    for (let round = 0; round < 40; round++) {
      await Promise.all([0, 1, 2, 3].map(asker));
      await new Promise((resolve) => setTimeout(resolve, 10));
      installation.advance(STEP);
    }
    // Thirteen hours, and three of each responder's six.
    assert.ok(responders.size >= 4 && responders.size <= 6, `${responders.size}`);
    await installation.close();
  },
);
