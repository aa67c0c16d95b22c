/** Newcomers with evidence of attestors: flows of `attest/` and `issuance/` together, on both engines. */
import assert from 'node:assert/strict';
import { sign } from 'node:crypto';
import { onEachEngine } from '../../test/engines.ts';
import { ADA, ANONYMOUS, createInstallation, type Installation, newKey } from '../../test/installation.ts';
import { attestEvidence } from '../attest/attest-evidence.ts';
import { addAttestor, removeAttestor } from '../attest/attestor/manage.ts';
import { CHALLENGE_MS } from '../attest/challenge.ts';
import { createChallenge } from '../attest/create-challenge.ts';
import { removeEntry } from '../attest/entry/manage.ts';
import { readInstanceEvidence } from '../attest/evidence-store.ts';
import { type ErrorCode, isWritError } from '../base/error.ts';
import { readInstance } from '../registry/instance.ts';
import { boundOctets } from '../wire/bound-octets.ts';
import { parseCsr } from '../x509/csr.ts';
import { issue } from '../x509/path/testdata/issue.ts';
import { enrol } from './enrol.ts';
import type { IssuedCertificate } from './issued.ts';
import {
  entry,
  FACTORY,
  factory,
  OIDC,
  oidc,
  pem,
  present,
  scene,
  token,
  validity,
} from './testdata/evidence-scene.ts';

const code = (wanted: ErrorCode, field?: string) => (error: unknown) =>
  isWritError(error, wanted) && (field === undefined || error.field === field);

const faults = async (installation: Installation) => {
  await installation.refusals.flush(true);
  const events = (await installation.events()).filter(({ type }) => type === 'evidence.refused');
  return events.map(({ body }) => [body['caller'], body['fault'], body['count']]);
};

onEachEngine('evidence that an entry asks for lets in once, as what the entry says', async ({ open }) => {
  const installation = await createInstallation(await open());
  const parts = await scene(installation);
  const made = await entry(parts, { scopes: ['deploy'], workflow: 'release', labels: { from: 'ci' } });
  const before = (await installation.events()).length;
  const evidence = oidc(token({ ref: 'main' }));
  const key = newKey();
  const runtime = { model_provider: 'local' };
  const issued = await present(installation, parts, evidence, { key, idempotencyKey: 'k'.repeat(16), runtime });
  assert.equal(issued.name, 'planner');
  const instance = (await readInstance(installation.database, issued.instance!))!;
  assert.deepEqual(
    [instance.attestation, instance.reference, instance.workflow, instance.scopes, instance.labels, instance.parent],
    ['oidc', 'repo:example/app', 'release', ['deploy'], { from: 'ci' }, undefined],
  );
  const kept = (await readInstanceEvidence(installation.database, issued.instance!))!;
  assert.deepEqual([kept.attestor, kept.entry], ['github', made.id]);
  assert.deepEqual(kept.facts['oidc:claim/ref'], ['main']);
  assert.deepEqual(kept.facts['agent:claimed'], ['model_provider']);
  const events = await installation.events(before);
  assert.deepEqual(
    events.map(({ type }) => type),
    ['instance.enrolled', 'certificate.issued'],
  );
  const { facts, attestor, evidence_sha256: digest } = events[0]!.body;
  assert.deepEqual([facts, attestor], [kept.facts, 'github']);
  assert.match(String(digest), /^[0-9a-f]{64}$/);
  assert.equal(JSON.stringify(events).includes((evidence as { token: string }).token), false, 'the token is nowhere');

  const again = await present(installation, parts, evidence, { key, idempotencyKey: 'k'.repeat(16), runtime });
  assert.equal(again.instance, issued.instance, 'a repeat gets its first answer');
  await assert.rejects(present(installation, parts, evidence), code('evidence_refused', '/evidence'));
  assert.deepEqual(await faults(installation), [['attestor:github', 'spent', undefined]]);
  await installation.close();
});

onEachEngine('of two who present it at once, one is let in', async ({ open }) => {
  const installation = await createInstallation(await open());
  const parts = await scene(installation);
  await entry(parts);
  const evidence = oidc(token());
  const looks = await Promise.all(
    Array.from({ length: 6 }, async () => {
      const csr = await newKey().csr();
      return { csr, evidence: await attestEvidence(evidence, { spki: parseCsr(csr).publicKey.spki }, parts) };
    }),
  );
  assert.ok(looks.every((look) => look.evidence.accepted));
  const outcomes = await Promise.allSettled(looks.map((look) => enrol(ANONYMOUS, look, installation.issuance)));
  assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected') assert.ok(isWritError(outcome.reason, 'evidence_refused'));
  }
  const rows = await installation.database.all("SELECT 1 FROM instance WHERE attestation = 'oidc'");
  assert.equal(rows.length, 1);
  await installation.close();
});

onEachEngine('a challenge is answered once, for one attestor, in time', async ({ open }) => {
  const installation = await createInstallation(await open());
  const parts = await scene(installation);
  await addAttestor(ADA, { name: 'twin', settings: FACTORY }, parts);
  for (const attestor of ['factory', 'twin']) {
    await entry(parts, { source: { attestor }, match: ['x509:common_name=node-7'] });
  }
  const machine = issue('node-7', { issuer: factory, ...validity });
  const answer = async (challenge: string, attestor = 'factory', spkiOf?: ReturnType<typeof newKey>) => {
    const key = newKey();
    const { spki } = parseCsr(await (spkiOf ?? key).csr()).publicKey;
    const signature = sign(null, boundOctets(challenge, spki), machine.key.privateKey).toString('base64');
    const chain = [pem(machine.certificate.raw)];
    return { key, evidence: { kind: 'x509pop', attestor, chain, challenge, signature } as const };
  };
  const { challenge } = await createChallenge({ attestor: 'factory' }, parts);
  const good = await answer(challenge);
  const issued = await present(installation, parts, good.evidence, { key: good.key });
  const instance = (await readInstance(installation.database, issued.instance!))!;
  assert.equal(instance.attestedUntil, validity.notAfter, 'it ends with what was proven');

  const refusals: [string, Awaited<ReturnType<typeof answer>>][] = [];
  refusals.push(['spent', await answer(challenge)]);
  refusals.push(['bad-challenge', await answer(challenge, 'twin')]);
  refusals.push(['bad-challenge', await answer(`${challenge.slice(0, -1)}${challenge.endsWith('A') ? 'B' : 'A'}`)]);
  refusals.push(['bad-challenge', await answer('AAAA')]);
  const fresh = await createChallenge({ attestor: 'factory' }, parts);
  refusals.push(['wrong-key', await answer(fresh.challenge, 'factory', newKey())]);
  for (const [fault, { key, evidence }] of refusals) {
    await assert.rejects(present(installation, parts, evidence, { key }), code('evidence_refused'), fault);
  }
  const late = await answer(fresh.challenge);
  installation.advance(CHALLENGE_MS);
  await assert.rejects(present(installation, parts, late.evidence, { key: late.key }), code('evidence_refused'));
  const said = (await faults(installation))
    .filter(([, , count]) => count === undefined)
    .map(([by, fault]) => `${by} ${fault}`);
  assert.deepEqual(said.sort(), [
    'attestor:factory bad-challenge',
    'attestor:factory challenge-expired',
    'attestor:factory spent',
    'attestor:factory wrong-key',
    'attestor:twin bad-challenge',
  ]);
  const unknown = await createChallenge({ attestor: 'nobody' }, parts);
  assert.equal(unknown.challenge.length, challenge.length, 'strangers do not learn which attestors there are');
  await installation.close();
});

onEachEngine('why evidence was refused is on the ledger, and strangers do not flood it', async ({ open }) => {
  const installation = await createInstallation(await open());
  const parts = await scene(installation);
  await entry(parts);
  const before = (await installation.events()).length;
  for (let at = 0; at < 40; at++) {
    const claims = { sub: `repo:stranger/${at}` };
    await assert.rejects(present(installation, parts, oidc(token(claims))), code('evidence_refused'));
    await assert.rejects(present(installation, parts, oidc(token({ aud: 'another' }))), code('evidence_refused'));
    await assert.rejects(present(installation, parts, oidc(token(), `nobody-${at}`)), code('evidence_refused'));
  }
  await assert.rejects(present(installation, parts, oidc(token(), 'factory')), code('evidence_refused'));
  assert.equal((await installation.events()).length, before + 2, 'one for each fault of the attestor that there is');
  assert.deepEqual(await faults(installation), [
    ['attestor:github', 'no-entry', undefined],
    ['attestor:github', 'wrong-audience', undefined],
    ['attestor:github', 'no-entry', 39],
    ['attestor:github', 'wrong-audience', 39],
    ['anonymous', undefined, 41],
  ]);
  const [first] = (await installation.events()).filter(({ type }) => type === 'evidence.refused');
  assert.deepEqual((first!.body['facts'] as Record<string, string[]>)['oidc:sub'], ['repo:stranger/0']);
  assert.deepEqual(first?.subjects, ['attestor:github']);
  await installation.close();
});

onEachEngine('the entry that asks for most counts; of several agents the bearer says which', async ({ open }) => {
  const installation = await createInstallation(await open());
  const parts = await scene(installation);
  await entry(parts, { scopes: ['little'] });
  await entry(parts, { scopes: ['much'], match: ['oidc:sub=repo:example/*', 'oidc:claim/ref=main'] });
  const scopesOf = async (issued: IssuedCertificate) =>
    (await readInstance(installation.database, issued.instance!))?.scopes;
  assert.deepEqual(await scopesOf(await present(installation, parts, oidc(token({ ref: 'main' })))), ['much']);
  assert.deepEqual(await scopesOf(await present(installation, parts, oidc(token({ ref: 'dev' })))), ['little']);
  await entry(parts, { agent: 'deployer', match: ['oidc:claim/ref=main'] });
  await assert.rejects(present(installation, parts, oidc(token({ ref: 'main' }))), code('bad_request', '/agent'));
  const chosen = await present(installation, parts, oidc(token({ ref: 'main' })), { agent: 'deployer' });
  assert.equal(chosen.name, 'deployer');
  await assert.rejects(
    present(installation, parts, oidc(token({ ref: 'main' })), { agent: 'nobody' }),
    code('evidence_refused'),
  );
  await installation.close();
});

onEachEngine('what is removed in the very moment lets nobody in', async ({ open }) => {
  const installation = await createInstallation(await open());
  const parts = await scene(installation);
  const made = await entry(parts);
  const csr = await newKey().csr();
  const evidence = await attestEvidence(oidc(token()), { spki: parseCsr(csr).publicKey.spki }, parts);
  await assert.rejects(removeAttestor(ADA, 'github', parts), code('conflict'));
  await removeEntry(ADA, made.id, parts);
  await assert.rejects(enrol(ANONYMOUS, { csr, evidence }, installation.issuance), code('evidence_refused'));

  await entry(parts);
  const again = await attestEvidence(oidc(token()), { spki: parseCsr(csr).publicKey.spki }, parts);
  assert.ok(again.accepted);
  const [left] = await installation.database.all('SELECT id FROM registration_entry');
  await removeEntry(ADA, left!['id'] as string, parts);
  await removeAttestor(ADA, 'github', parts);
  installation.advance(1);
  await addAttestor(ADA, { name: 'github', settings: OIDC }, parts);
  await entry(parts);
  await assert.rejects(
    enrol(ANONYMOUS, { csr, evidence: again }, installation.issuance),
    code('evidence_refused'),
    'another attestor of the same name is another',
  );
  await installation.close();
});
