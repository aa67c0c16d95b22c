import assert from 'node:assert/strict';
import { onEachEngine } from '../../../test/engines.ts';
import { createInstallation } from '../../../test/installation.ts';
import { activeOf } from '../../ca/authority.ts';
import { type CommitBatch, newBatch } from '../../db/batch.ts';
import { encode, octetString, oid, sequence } from '../../der/writer.ts';
import { parseCertificate } from '../../x509/certificate.ts';
import { OCSP_NONCE } from '../../x509/extensions/ocsp-nonce.ts';
import { encodeCertId } from '../../x509/ocsp-cert-id.ts';
import { encodeOcspRequest, MAX_OCSP_CERTIFICATES } from '../../x509/ocsp-request.ts';
import { parseOcspResponse } from '../../x509/ocsp-response.ts';
import { ask, scene } from '../testdata/ocsp-scene.ts';

/** What an answer is: the statuses in it, or why there is none. */
function outcome(der: Uint8Array): string {
  const parsed = parseOcspResponse(der);
  return parsed.kind === 'fault' ? parsed.fault : parsed.basic.responses.map(({ status }) => status.kind).join(' ');
}

onEachEngine('a nonce of 1 to 128 octets comes back, and any other is malformed (RFC 9654 §2.1)', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { answers, issued, issuing } = await scene(installation);
  const id = encodeCertId(parseCertificate(issued.der), issuing().certificate);
  const asking = (nonce: Uint8Array): Uint8Array => {
    const extension = sequence(oid(OCSP_NONCE), octetString(octetString(nonce)));
    return sequence(sequence(sequence(sequence(id)), encode(0xa2, sequence(extension))));
  };
  for (const length of [1, 2, 16, 32, 127, 128]) {
    const nonce = new Uint8Array(length).fill(length);
    const { der, keep } = await answers.answer(asking(nonce));
    const parsed = parseOcspResponse(der);
    assert.ok(parsed.kind === 'basic', `${length}`);
    assert.deepEqual([parsed.basic.nonce, keep], [nonce, undefined]);
  }
  for (const length of [0, 129, 1000]) {
    const { der } = await answers.answer(asking(new Uint8Array(length)));
    assert.equal(outcome(der), 'malformedRequest', `${length}`);
  }
  // Two of them are no question: extensions stand once (RFC 5280 §4.2).
  const twice = sequence(oid(OCSP_NONCE), octetString(octetString(new Uint8Array(1))));
  const doubled = sequence(sequence(sequence(sequence(id)), encode(0xa2, sequence(twice, twice))));
  assert.equal(outcome((await answers.answer(doubled)).der), 'malformedRequest');
  await installation.close();
});

onEachEngine('so many certificates at once are answered for, each in its place, and no more', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { answers, issued, issuing } = await scene(installation);
  const certificate = parseCertificate(issued.der);
  const ids = (count: number): Uint8Array[] =>
    Array.from({ length: count }, (_, at) => {
      const serial = certificate.serial.slice();
      // Every second one was never issued.
      if (at % 2 === 1) serial[19]! ^= at;
      return encodeCertId({ serial }, issuing().certificate, at % 3 === 0 ? 'sha256' : 'sha1');
    });
  const most = outcome((await answers.answer(encodeOcspRequest(ids(MAX_OCSP_CERTIFICATES)))).der);
  assert.deepEqual(
    most.split(' '),
    Array.from({ length: MAX_OCSP_CERTIFICATES }, (_, at) => (at % 2 === 0 ? 'good' : 'unknown')),
  );
  const more = await answers.answer(encodeOcspRequest(ids(MAX_OCSP_CERTIFICATES + 1)));
  assert.equal(outcome(more.der), 'malformedRequest');
  await installation.close();
});

onEachEngine('while no responder can be certified it is to be tried later, and then it works', async ({ open }) => {
  const installation = await createInstallation(await open());
  let full = false;
  const commit: CommitBatch = async (batch) =>
    full ? { committed: false, refusal: 'storage_failed', reason: 'The disk is full.' } : installation.commit(batch);
  const { answers, issued, issuing } = await scene(installation, commit);
  const [certificate, issuer] = [parseCertificate(issued.der), issuing().certificate];
  const status = () => ask(answers, certificate, issuer, { now: installation.clock.now() });
  full = true;
  assert.equal(await status(), 'tryLater');
  full = false;
  assert.equal(await status(), 'tryLater', 'not at once: who asks does not make it try');
  installation.advance(2000);
  assert.equal(await status(), 'good');
  // One that is there goes on while its successor cannot be certified, to near its end.
  full = true;
  installation.advance(5 * 3_600_000);
  assert.equal(await status(), 'good');
  installation.advance(3_600_000);
  assert.equal(await status(), 'tryLater');
  full = false;
  installation.advance(2000);
  assert.equal(await status(), 'good');
  await installation.close();
});

onEachEngine('an authority whose key is gone certifies nobody who could answer for it', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { answers, issued, issuing, authority } = await scene(installation);
  const { database, clock } = installation;
  const all = authority.authorities();
  const [root, intermediate] = [activeOf(all, 'root')!, activeOf(all, 'intermediate')!];
  const now = clock.now();
  // Lost: the row that names it is there, the key is not.
  await database.transaction((tx) => tx.run('DELETE FROM sealed_key WHERE id = ?', [intermediate.keyId!]));
  assert.equal(await ask(answers, issuing().certificate, intermediate.certificate, { now }), 'unauthorized');
  // Deleted, or taken offline.
  await database.transaction((tx) => tx.run('UPDATE authority SET key_id = NULL WHERE id = ?', [root.id]));
  const batch = newBatch();
  batch.bumpsEpoch = true;
  batch.events.push({ type: 'authority.retired', subjects: [], body: {} });
  await installation.commit(batch);
  assert.equal(await ask(answers, intermediate.certificate, root.certificate, { now }), 'unauthorized');
  assert.equal(await ask(answers, parseCertificate(issued.der), issuing().certificate, { now }), 'good');
  await installation.close();
});
