/** How whoever reads signed statements hears that the authority above their signer was released, and from whom it does not. */
import assert from 'node:assert/strict';
import { onEachEngine } from '../../../test/engines.ts';
import { createInstallation, newKey, SYSTEM } from '../../../test/installation.ts';
import type { Caller } from '../../base/access.ts';
import { isWritError } from '../../base/error.ts';
import { silentLog } from '../../base/log.ts';
import { makeResponderKey } from '../../ca/ocsp/responder.ts';
import { signOcsp } from '../../ca/ocsp/sign.ts';
import { encodePem } from '../../der/pem.ts';
import { issueResponderCertificate } from '../../issuance/responder.ts';
import { issueServerCertificate } from '../../issuance/server.ts';
import { quarantine } from '../../revocation/quarantine.ts';
import { releaseStop } from '../../revocation/release.ts';
import { FeedSignatures } from '../../sdk/feed/signatures.ts';
import { Stopped } from '../../sdk/verifier/stopped.ts';
import type { FeedEntry } from '../../wire/feed.ts';
import type { FeedStatement } from '../../wire/feed-statement.ts';
import { parseCertificate } from '../../x509/certificate.ts';
import { encodeCertId } from '../../x509/ocsp-cert-id.ts';
import { keyIdentifier, parsePublicKey } from '../../x509/public-key.ts';
import { question, scene } from '../testdata/ocsp-scene.ts';
import { FeedSigner } from './signer.ts';
import { Vouchers } from './vouchers.ts';

const ADMINISTRATOR: Caller = { kind: 'system', id: 'system:administrator' };
const STATE: FeedStatement = { kind: 'state', log: 1, position: 7, epoch: 3, as_of: 1000, time: 1001 };

onEachEngine('by the word of those above it, given since, and by nobody else’s', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance, clock, database, advance } = installation;
  const { answers, authority, issuing } = await scene(installation);
  const above = authority.authorities().find(({ id }) => id === issuing().issuer)!;
  const key = newKey();
  const issued = await issueServerCertificate(SYSTEM, { csr: await key.csr() }, issuance);
  const pem = (der: Uint8Array): string => encodePem('CERTIFICATE', der);
  const signer = new FeedSigner(issuance.trustDomain, {
    key: key.key.export({ type: 'pkcs8', format: 'pem' }) as string,
    chain: [issued.der, ...issued.chain].map(pem).join(''),
  });
  const ask = async (asked: Uint8Array): Promise<Uint8Array> => (await answers.answer(asked)).der;
  const vouchers = new Vouchers({
    ...{ reader: database, clock, log: silentLog, authorities: () => authority.authorities(), ask },
    take: (all) => signer.setVouchers(all),
  });

  const stopped = new Stopped();
  const roots = authority.authorities().filter(({ kind }) => kind === 'root');
  const signatures = new FeedSignatures({
    identity: { roots: roots.map(({ certificate }) => pem(certificate.raw)), trustDomain: issuance.trustDomain },
    clock: { steady: () => 0, wall: () => clock.now() },
    fallen(subject) {
      const heldSince = stopped.heldSince(subject);
      return heldSince === undefined ? stopped.of([subject]) && 'stopped' : { heldSince };
    },
  });
  const believed = (): string => {
    try {
      return signatures.read(signer.sign(STATE)).kind;
    } catch (error) {
      assert.ok(isWritError(error, 'bad_certificate'));
      return error.message;
    }
  };
  const hex = Buffer.from(keyIdentifier(parsePublicKey(issuing().certificate.spki))).toString('hex');
  const hear = (effect: FeedEntry['effect']): void => {
    const entry = {
      position: 1,
      act: 1,
      type: 'authority.quarantined',
      at: clock.now(),
      expires_at: clock.now() + 1e9,
    };
    stopped.apply({ ...entry, effect, subjects: [`authority:${issuing().id}`, `issuer:${hex}`] });
  };
  const hold = () => {
    hear('hold');
    const target = { kind: 'authority', name: issuing().id } as const;
    return quarantine(ADMINISTRATOR, { target, cause: 'authority_compromise' }, issuance);
  };

  await vouchers.look(signer.chain);
  assert.equal(believed(), 'state');
  assert.doesNotMatch(signer.sign(STATE).statement, /vouchers/, 'nothing was ever held');
  const { certificate } = issuing();
  const before = await ask(question(certificate, above.certificate));
  const first = await hold();
  const HELD = /is held/;
  assert.match(believed(), HELD);
  advance(10_000);
  const during = await ask(question(certificate, above.certificate));
  await vouchers.look(signer.chain);
  assert.match(believed(), HELD);

  await releaseStop(ADMINISTRATOR, first.id, issuance);
  // What else one could show: from before the hold, from while it lasted, of something else, by the authority's own word.
  const responderKey = await makeResponderKey('ecdsa-p256');
  const own = await issueResponderCertificate(
    SYSTEM,
    { csr: responderKey.csr, authority: await authority.opened(issuing()) },
    issuance,
  );
  const forged = signOcsp(responderKey.open(own.der), {
    answers: [{ id: encodeCertId(certificate, above.certificate), status: { kind: 'good' } }],
    now: clock.now(),
  });
  const other = await ask(question(parseCertificate(issued.der), certificate));
  for (const voucher of [before, during, forged.der, other, new Uint8Array(9), new Uint8Array()]) {
    signer.setVouchers([Buffer.from(voucher).toString('base64')]);
    assert.match(believed(), HELD);
  }
  signer.setVouchers('none' as unknown as string[]);
  assert.match(believed(), HELD);

  await vouchers.look(signer.chain);
  assert.equal(believed(), 'state');
  hear('release');
  assert.equal(believed(), 'state');
  // Whoever comes to know of the hold later than others hears of its end, too.
  advance(3_600_000);
  hear('hold');
  assert.match(believed(), HELD, 'a voucher is good for no later hold');
  const second = await hold();
  advance(10_000);
  await releaseStop(ADMINISTRATOR, second.id, issuance);
  await vouchers.look(signer.chain);
  assert.equal(believed(), 'state');
  hear('stop');
  assert.match(believed(), /was stopped/, 'for ever is for ever, whoever vouches');
  vouchers.close();
  await installation.close();
});
