/** Newcomers with evidence of attestors: flows of `attest/` and `issuance/` together, on both engines. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { onEachEngine } from '../../test/engines.ts';
import {
  ADA,
  ANONYMOUS,
  callerOf,
  createInstallation,
  type Installation,
  letIn,
  newKey,
  newToken,
  register,
  registered,
  START,
} from '../../test/installation.ts';
import { attestEvidence, type EvidenceParts, type Presented } from '../attest/attest-evidence.ts';
import type { Attestation } from '../attest/attested.ts';
import { parseSettings } from '../attest/attestor-kinds.ts';
import { CHALLENGE_MS } from '../attest/challenge.ts';
import { checkEvidence } from '../attest/check-evidence.ts';
import { createChallenge } from '../attest/create-challenge.ts';
import { EntryCache } from '../attest/entry-cache.ts';
import type { EntryInput } from '../attest/entry-input.ts';
import { pushUsedEvidencePurge, readInstanceEvidence } from '../attest/evidence-store.ts';
import { parseCosign } from '../attest/image-signature.ts';
import { KeySets } from '../attest/key-sets.ts';
import { addAttestor, removeAttestor, showAttestor, showAttestors } from '../attest/manage-attestors.ts';
import { createEntry, removeEntry } from '../attest/manage-entries.ts';
import { oidcVerifier } from '../attest/oidc.ts';
import { withRuntime } from '../attest/with-runtime.ts';
import { x509popVerifier } from '../attest/x509pop.ts';
import type { Caller } from '../base/access.ts';
import { type ErrorCode, isWritError } from '../base/error.ts';
import { newBatch } from '../db/batch.ts';
import { encodePem } from '../der/pem.ts';
import { idempotencyOf } from '../http/idempotency.ts';
import { readInstance } from '../registry/instance.ts';
import type { AttestorEvidence } from '../wire/attestation.ts';
import type { AttestorSettings } from '../wire/attestor.ts';
import { boundOctets } from '../wire/bound-octets.ts';
import { parseCsr } from '../x509/csr.ts';
import { DAY, issue } from '../x509/path/testdata/issue.ts';
import { enrol } from './enrol.ts';
import type { IssuedCertificate } from './issued.ts';

const code = (wanted: ErrorCode, field?: string) => (error: unknown) =>
  isWritError(error, wanted) && (field === undefined || error.field === field);

const ISSUER = 'https://issuer.example.com';
const AUDIENCE = 'agents.example.com';
const issuerKey = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const JWKS = JSON.stringify({
  keys: [{ ...issuerKey.publicKey.export({ format: 'jwk' }), kid: 'one', alg: 'ES256', use: 'sig' }],
});
const OIDC: AttestorSettings = { kind: 'oidc', parameters: { issuer: ISSUER, audience: AUDIENCE, jwks: JWKS } };

const validity = { notBefore: START - DAY, notAfter: START + 30 * DAY };
const factory = issue('Factory', { ca: true, ...validity });
const pem = (raw: Uint8Array): string => encodePem('CERTIFICATE', raw);
const FACTORY: AttestorSettings = { kind: 'x509pop', parameters: { roots: [pem(factory.certificate.raw)] } };

const PAUL: Caller = { kind: 'operator', id: 'spiffe://agents.example.com/operator/paul', operator: 'paul' };

let tokens = 0;

function token(claims: Record<string, unknown> = {}): string {
  const at = START / 1000;
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const body = {
    iss: ISSUER,
    aud: AUDIENCE,
    sub: 'repo:example/app',
    iat: at,
    exp: at + 600,
    jti: `${++tokens}`,
    ...claims,
  };
  const signed = `${part({ alg: 'ES256', typ: 'JWT', kid: 'one' })}.${part(body)}`;
  const signature = sign('sha256', Buffer.from(signed), { key: issuerKey.privateKey, dsaEncoding: 'ieee-p1363' });
  return `${signed}.${signature.toString('base64url')}`;
}

const oidc = (text: string, attestor = 'github'): AttestorEvidence => ({ kind: 'oidc', attestor, token: text });

function partsOf(installation: Installation) {
  const { database, clock, random, commit, policy } = installation;
  const fetch: EvidenceParts['fetch'] = async () => ({ reached: false });
  const images = { parse: parseCosign, verify: async () => ({ accepted: false, fault: 'malformed' }) as const };
  const verifiers = { oidc: oidcVerifier(new KeySets({ clock, fetch })), x509pop: x509popVerifier, cosign: images };
  const secret = new Uint8Array(32).fill(7);
  const checkSettings = (settings: AttestorSettings): void => void parseSettings(settings, verifiers);
  return {
    ...{ reader: database, clock, random, commit, authorize: policy.authorize, registered: registered(installation) },
    lifetimeFits: async () => true,
    ...{ fetch, verifiers, secret, checkSettings, entries: new EntryCache(database) },
  };
}

type Parts = ReturnType<typeof partsOf>;

async function scene(installation: Installation): Promise<Parts> {
  const parts = partsOf(installation);
  await register(installation, 'planner');
  await register(installation, 'deployer');
  await addAttestor(ADA, { name: 'github', settings: OIDC }, parts);
  await addAttestor(ADA, { name: 'factory', settings: FACTORY }, parts);
  return parts;
}

function entry(parts: Parts, more: Partial<EntryInput> = {}) {
  const source = { attestor: 'github' };
  return createEntry(ADA, { agent: 'planner', source, match: ['oidc:sub=repo:example/*'], ...more }, parts);
}

/** What the door does with evidence. */
async function present(
  installation: Installation,
  parts: Parts,
  evidence: AttestorEvidence,
  more: Partial<Presented> & { readonly key?: ReturnType<typeof newKey>; readonly idempotencyKey?: string } = {},
): Promise<IssuedCertificate> {
  const csr = await (more.key ?? newKey()).csr();
  const attested = await attestEvidence(evidence, { spki: parseCsr(csr).publicKey.spki, ...more }, parts);
  const idempotency =
    more.idempotencyKey === undefined
      ? undefined
      : idempotencyOf(
          {
            caller: 'x',
            route: 'POST /v1/svid',
            key: more.idempotencyKey,
            target: '/v1/svid',
            body: Buffer.from('{}'),
          },
          installation.database,
          installation.clock,
        );
  return enrol(ANONYMOUS, { evidence: attested, csr, idempotency }, installation.issuance);
}

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
