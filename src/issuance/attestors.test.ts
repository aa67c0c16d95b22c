/** Attestors, what evidence comes to, and what a runtime says besides, on both engines. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { onEachEngine } from '../../test/engines.ts';
import {
  ADA,
  ANONYMOUS,
  callerOf,
  createInstallation,
  letIn,
  newKey,
  newToken,
  START,
} from '../../test/installation.ts';
import type { Attestation } from '../attest/attested.ts';
import { addAttestor, removeAttestor, showAttestor, showAttestors } from '../attest/attestor/manage.ts';
import { checkEvidence } from '../attest/check-evidence.ts';
import { pushUsedEvidencePurge, readInstanceEvidence } from '../attest/evidence-store.ts';
import { withRuntime } from '../attest/with-runtime.ts';
import type { Caller } from '../base/access.ts';
import { type ErrorCode, isWritError } from '../base/error.ts';
import { newBatch } from '../db/batch.ts';
import type { AttestorEvidence } from '../wire/attestation.ts';
import type { AttestorSettings } from '../wire/attestor.ts';
import { DAY } from '../x509/path/testdata/issue.ts';
import { enrol } from './enrol.ts';
import { entry, OIDC, oidc, present, scene, token } from './testdata/evidence-scene.ts';

const PAUL: Caller = { kind: 'operator', id: 'spiffe://agents.example.com/operator/paul', operator: 'paul' };

const code = (wanted: ErrorCode, field?: string) => (error: unknown) =>
  isWritError(error, wanted) && (field === undefined || error.field === field);

onEachEngine('attestors are shown to operators, and kept from all who may not', async ({ open }) => {
  const installation = await createInstallation(await open());
  const parts = await scene(installation);
  await entry(parts);
  assert.deepEqual(
    (await showAttestors(ADA, {}, parts)).items.map(({ name, entries }) => [name, entries]),
    [
      ['factory', 0],
      ['github', 1],
    ],
  );
  assert.deepEqual((await showAttestor(ADA, 'github', parts)).settings, OIDC);
  const page = await showAttestors(ADA, { limit: 1 }, parts);
  assert.equal((await showAttestors(ADA, { cursor: page.next! }, parts)).items[0]?.name, 'github');
  await assert.rejects(addAttestor(PAUL, { name: 'more', settings: OIDC }, parts), code('denied'));
  await assert.rejects(addAttestor(ADA, { name: 'github', settings: OIDC }, parts), code('conflict'));
  await assert.rejects(addAttestor(ADA, { name: 'Not', settings: OIDC }, parts), code('bad_request', '/name'));
  const other: AttestorSettings = { kind: 'tpm', parameters: {} };
  await assert.rejects(addAttestor(ADA, { name: 'x', settings: other }, parts), code('bad_request', '/settings/kind'));
  await assert.rejects(removeAttestor(PAUL, 'factory', parts), code('denied'));
  await assert.rejects(showAttestor(ADA, 'nobody', parts), code('not_found'));
  const planner = callerOf(await letIn(installation, { agent: 'planner' }));
  await assert.rejects(showAttestors(planner, {}, parts), code('denied'));
  await assert.rejects(removeAttestor(planner, 'factory', parts), code('denied'));
  await removeAttestor(ADA, 'factory', parts);
  await assert.rejects(showAttestor(ADA, 'factory', parts), code('not_found'));
  const types = (await installation.events()).map(({ type }) => type).filter((type) => type.startsWith('attestor.'));
  assert.deepEqual(types, ['attestor.added', 'attestor.added', 'attestor.removed']);
  await installation.close();
});

onEachEngine('what a runtime says goes with a join token, too', async ({ open }) => {
  const installation = await createInstallation(await open());
  await scene(installation);
  const attest = async (): Promise<Attestation> => (await newToken(installation, { agent: 'planner' })).attest();
  const runtime = { tools_sha256: 'a'.repeat(64), image_digest: `sha256:${'b'.repeat(64)}` };
  const evidence = await withRuntime(await attest(), { runtime, agent: 'planner' }, installation.database);
  const issued = await enrol(ANONYMOUS, { evidence, csr: await newKey().csr() }, installation.issuance);
  const kept = (await readInstanceEvidence(installation.database, issued.instance!))!;
  assert.deepEqual([kept.kind, kept.facts['agent:claimed']], ['join-token', ['image_digest', 'tools_sha256']]);
  assert.equal(kept.facts['agent:verified'], undefined);
  const other = await attest();
  await assert.rejects(withRuntime(other, { agent: 'deployer' }, installation.database), code('bad_request', '/agent'));
  await installation.close();
});

onEachEngine('evidence can be looked at, also later, and lets nobody in by that', async ({ open }) => {
  const installation = await createInstallation(await open());
  const parts = await scene(installation);
  const far = await entry(parts, { match: ['oidc:sub=x', 'oidc:claim/ref=y'] });
  const near = await entry(parts, { match: ['oidc:sub=repo:example/*', 'oidc:claim/ref=dev'] });
  const evidence = oidc(token({ ref: 'main' }));
  const check = (given: AttestorEvidence, name = 'github') => checkEvidence(ADA, { name, evidence: given }, parts);
  const before = (await installation.events()).length;
  const checked = await check(evidence);
  assert.deepEqual([checked.fault, checked.spent, checked.facts['oidc:claim/ref']], [undefined, false, ['main']]);
  assert.deepEqual(
    checked.tried.map(({ entry: { id }, missing }) => [id, missing]),
    [
      [near.id, ['oidc:claim/ref=dev']],
      [far.id, ['oidc:claim/ref=y', 'oidc:sub=x']],
    ],
  );
  assert.equal((await check(oidc(token({ aud: 'x' })))).fault, 'wrong-audience');
  await assert.rejects(check(evidence, 'nobody'), code('not_found', '{name}'));
  await assert.rejects(check(evidence, 'factory'), code('bad_request', '/evidence/kind'));
  const planner = callerOf(await letIn(installation, { agent: 'planner' }));
  await assert.rejects(checkEvidence(planner, { name: 'github', evidence }, parts), code('denied'));
  const types = (await installation.events()).slice(before).map(({ type }) => type);
  assert.equal(types.filter((type) => type.startsWith('evidence.')).length, 0);

  await entry(parts);
  const issued = await present(installation, parts, evidence);
  const { digest } = (await readInstanceEvidence(installation.database, issued.instance!))!;
  const later = await check(evidence);
  assert.deepEqual([later.spent, later.tried[0]?.missing], [true, []]);
  assert.deepEqual(Buffer.from(later.digest), Buffer.from(digest), 'it is what the ledger speaks of');
  await installation.close();
});

onEachEngine('an image that is signed shows, and by whom', async ({ open }) => {
  const installation = await createInstallation(await open());
  const parts = await scene(installation);
  const signer = generateKeyPairSync('ed25519');
  const key = signer.publicKey.export({ type: 'spki', format: 'pem' }) as string;
  await addAttestor(ADA, { name: 'release', settings: { kind: 'cosign', parameters: { keys: [key] } } }, parts);
  await assert.rejects(entry(parts, { source: { attestor: 'release' } }), code('bad_request', '/attestor'));
  await entry(parts, { match: ['oidc:sub=repo:example/app', 'agent:image_signed_by=release'] });

  const hex = 'a'.repeat(64);
  const type = 'application/vnd.in-toto+json';
  const predicateType = 'https://sigstore.dev/cosign/sign/v1';
  const payload = Buffer.from(JSON.stringify({ subject: [{ digest: { sha256: hex } }], predicateType }));
  const message = Buffer.concat([Buffer.from(`DSSEv1 ${type.length} ${type} ${payload.length} `), payload]);
  const signatures = [{ sig: sign(null, message, signer.privateKey).toString('base64') }];
  const envelope = { payload: payload.toString('base64'), payloadType: type, signatures };
  const image_signature = { attestor: 'release', bundle: JSON.stringify({ dsseEnvelope: envelope }) };
  const image_digest = `sha256:${hex}`;
  const issued = await present(installation, parts, oidc(token()), { runtime: { image_digest, image_signature } });
  const { facts } = (await readInstanceEvidence(installation.database, issued.instance!))!;
  assert.deepEqual(
    [facts['agent:image_signed_by'], facts['agent:verified'], facts['agent:claimed']],
    [['release'], ['image_signed_by'], ['image_digest']],
  );
  for (const runtime of [
    { image_digest },
    { image_digest: `sha256:${'b'.repeat(64)}`, image_signature },
    { image_digest, image_signature: { ...image_signature, attestor: 'github' } },
    { image_signature },
  ]) {
    await assert.rejects(present(installation, parts, oidc(token()), { runtime }), code('evidence_refused'));
  }
  await installation.close();
});

onEachEngine('evidence that was used is forgotten when it is refused for other reasons', async ({ open }) => {
  const installation = await createInstallation(await open());
  const parts = await scene(installation);
  await entry(parts);
  await present(installation, parts, oidc(token()));
  const count = async () => (await installation.database.all('SELECT 1 FROM used_evidence')).length;
  const purge = async (before: number) => {
    const batch = newBatch();
    pushUsedEvidencePurge(batch, before, 10);
    return (await installation.commit(batch)).committed;
  };
  assert.equal(await count(), 1);
  assert.equal(await purge(START), false);
  assert.equal(await count(), 1);
  assert.equal(await purge(START + DAY), true);
  assert.equal(await count(), 0);
  await installation.close();
});
