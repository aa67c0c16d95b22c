/** An older copy of the database in the place of the newest: noticed at start, and what was revoked stays revoked. */
import assert from 'node:assert/strict';
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { openSqlite } from '../../src/db/sqlite.ts';
import { decodePem } from '../../src/der/pem.ts';
import { parseCheckpoint } from '../../src/merkle/checkpoint.ts';
import { parseNote } from '../../src/merkle/note.ts';
import { connect } from '../../src/sdk/enrolment/connect.ts';
import type { Identity } from '../../src/sdk/identity/identity.ts';
import { createVerifier } from '../../src/sdk/verifier/verifier.ts';
import { type Certificate, parseCertificate } from '../../src/x509/certificate.ts';
import { parseCrl } from '../../src/x509/crl.ts';
import { CRL_NUMBER, decodeCrlNumber } from '../../src/x509/extensions/crl-number.ts';
import { encodeCertId } from '../../src/x509/ocsp-cert-id.ts';
import { encodeOcspRequest } from '../../src/x509/ocsp-request.ts';
import { judgeOcspResponse } from '../../src/x509/ocsp-verify.ts';
import { writ } from '../program.ts';
import { failureOf, type Run, refusalOf, run, scratchDirectory } from './authority.ts';
import { clientOf, csrFor, type Leaf, newKey, renew, whoami } from './clients.ts';

describe('an older copy of the database', { concurrency: true }, () => {
  it('where only revocations are missing they are recorded again', async () => {
    const data = join(scratchDirectory(), 'writ-data');
    const first = await run(data);
    const [kept, revoked, stopped] = [
      await first.letIn('kept'),
      await first.letIn('revoked'),
      await first.letIn('gone'),
    ];
    const backup = await backUp(data);
    const { revoked_at: at } = await first.revoke(revoked.serial);
    await first.post(`/v1/instances/${stopped.instance}/stop`, { cause: 'decommissioned' });
    const before = await standing(first, data);
    await first.server.kill();
    await putBack(backup, data);

    const again = await run(data);
    for (const leaf of [revoked, stopped]) {
      const { status, revoked_at: told } = await again.get(`/v1/certificates/${leaf.serial}`);
      assert.equal(status, 'revoked');
      if (leaf === revoked) assert.equal(told, at, 'as it was revoked first');
      assert.equal((await failureOf(present(again, leaf))).code, 'revoked');
      assert.equal((await failureOf(again.issue(stopped.instance))).code, 'revoked');
    }
    assert.equal(await present(again, kept), kept.id);
    await notGoneBack(before, await standing(again, data));
    await again.server.stop();
    await verified(data);
  });

  it('a key of security event tokens that was stolen does not come back', async () => {
    const data = join(scratchDirectory(), 'writ-data');
    const first = await run(data);
    await first.post('/v1/signals/streams', {});
    const kids = async ({ document }: Run): Promise<string[]> => {
      const { keys } = JSON.parse(await document('/v1/signals/jwks.json')) as { keys: { kid: string }[] };
      return keys.map(({ kid }) => kid);
    };
    const [stolen] = await kids(first);
    const backup = await backUp(data);
    await first.post('/v1/signals/rotate-key', { at_once: true });
    await first.server.kill();
    await putBack(backup, data);

    const again = await run(data);
    let after: string[] = [];
    for (let tries = 0; after.length === 0 && tries < 100; tries++) {
      after = await kids(again);
      await pause(25);
    }
    assert.deepEqual([after.length, after.includes(stolen!)], [1, false]);
    await again.server.stop();
    await verified(data);
  });

  it('where Writ certified itself, too, and a point acknowledged, they are recorded again as well', async () => {
    const data = join(scratchDirectory(), 'writ-data');
    const first = await run(data);
    const [kept, revoked] = [await first.letIn('kept'), await first.letIn('revoked')];
    const [held, point] = [await first.letIn('held'), await identityOf(first, 'point')];
    const backup = await backUp(data);
    const verifier = createVerifier({ identity: point, mode: 'strict' });
    await verifier.ready(AbortSignal.timeout(10_000));
    // The first question has the responder certified; the stops are recorded as effective.
    assert.equal(await ocspStatus(first, kept), 'good');
    await first.revoke(revoked.serial);
    const { id: stop } = await quarantine(first, held);
    await effective(data, 2);
    // A responder that is revoked itself: its certificate comes back, and is not good again.
    const responder = await responderOf(first);
    await first.revoke(responder);
    await effective(data, 3);
    verifier.close();
    point.close();
    assert.equal((await first.server.stop()).code, 0);
    // Each start has the server certified.
    const second = await run(data);
    const before = await standing(second, data);
    await second.server.kill();
    await putBack(backup, data);

    const again = await run(data);
    assert.equal((await again.get(`/v1/certificates/${responder}`))['status'], 'revoked');
    assert.equal((await again.get(`/v1/certificates/${revoked.serial}`))['status'], 'revoked');
    assert.equal((await failureOf(present(again, revoked))).code, 'revoked');
    assert.equal((await failureOf(present(again, held))).code, 'inactive');
    assert.equal((await again.get(`/v1/stops/${stop}`))['state'], 'quarantined');
    assert.equal(await present(again, kept), kept.id);
    assert.deepEqual(
      [await ocspStatus(again, kept), await ocspStatus(again, revoked), await ocspStatus(again, held)],
      ['good', 'revoked keyCompromise', 'revoked certificateHold'],
    );
    assert.match(await again.document('/ledger/checkpoint'), /^writ\.internal\/ledger\n/, 'the log went on');
    await notGoneBack(before, await standing(again, data));
    await again.server.stop();
    await verified(data);
  });

  it('where people were refused, and the server went on by itself, that is recorded again as well', async () => {
    const data = join(scratchDirectory(), 'writ-data');
    const first = await run(data);
    const [kept, revoked] = [await first.letIn('kept'), await first.letIn('revoked')];
    const { id, token } = await first.post<{ id: string; token: string }>('/v1/tokens', { agent: 'kept' });
    await first.post(`/v1/tokens/${id}/revoke`, {});
    const backup = await backUp(data);
    // Each of these is an entry that changes nothing.
    assert.equal((await writ(['backup', `${data}-later`, '--data', data])).code, 0);
    const own = { instance: kept.instance, csr: await csrFor(newKey()) };
    const others = { instance: kept.instance, csr: await csrFor(revoked.key) };
    const owner = { team: 'journeys', sponsor: 'sponsor@example.com' };
    const refused = [
      await failureOf(asks(first, kept, '/v1/agents', { name: 'another', owner, purpose: 'is none' })),
      await failureOf(asks(first, kept, '/v1/certificates', own)),
      await failureOf(first.post('/v1/certificates', others)),
      await failureOf(asks(first, undefined, '/v1/enrol', { token, csr: own.csr })),
      await failureOf(first.post('/v1/operators/admin/remove', { cause: 'owner_withdrawn' })),
    ];
    const codes = ['denied', 'denied', 'key_in_use', 'token_refused', 'needs_approval'];
    assert.deepEqual(
      refused.map(({ code }) => code),
      codes,
    );
    await first.revoke(revoked.serial);
    // At its end a server records what it has only counted.
    assert.equal((await first.server.stop()).code, 0);
    const second = await run(data);
    const before = await standing(second, data);
    const said = await refusalsOf(second);
    assert.deepEqual([...new Set(said.map(({ type }) => type))].sort(), REFUSALS);
    await second.server.kill();
    await putBack(backup, data);

    const again = await run(data);
    assert.match(await again.document('/ledger/checkpoint'), /^writ\.internal\/ledger\n/, 'the log went on');
    assert.deepEqual(await refusalsOf(again), said, 'each as it was');
    assert.equal((await again.get(`/v1/certificates/${revoked.serial}`))['status'], 'revoked');
    assert.equal((await failureOf(present(again, revoked))).code, 'revoked');
    assert.equal(await present(again, kept), kept.id);
    await renewed(again, kept);
    await notGoneBack(before, await standing(again, data));
    await again.server.stop();
    await verified(data);
  });

  it('what was removed stays removed; where tokens were issued since it refuses, and goes on under a new log', async () => {
    const data = join(scratchDirectory(), 'writ-data');
    const first = await run(data);
    const kept = await first.letIn('kept');
    await granted(first, data);
    const backup = await backUp(data);
    await takenBack(first);
    await first.server.kill();
    await putBack(backup, data);
    const again = await run(data);
    assert.match(await again.document('/ledger/checkpoint'), /^writ\.internal\/ledger\n/, 'the log went on');
    assert.deepEqual(await grants(again), []);

    await granted(again, data);
    const second = `${data}-second`;
    assert.equal((await writ(['backup', second, '--data', data])).code, 0);
    await takenBack(again);
    const asked = { audience: ['https://reports.example.com'] };
    const token = async (at: Run): Promise<unknown> => asks(at, kept, '/v1/jwt-svids', asked);
    await token(again);
    assert.equal((await again.server.stop()).code, 0);
    renameSync(`${data}-lost`, `${data}-lost-first`);
    await putBack(second, data);
    assert.match(refusalOf(await failureOf(run(data))), /^behind_anchor: /, 'the log had more than anybody has');
    const made = await writ(['ledger', 'new-log', '--data', data, '--json']);
    assert.equal(made.code, 0, made.stderr);
    const { types } = JSON.parse(made.stdout) as { types: Record<string, number> };
    for (const type of ['entry.removed', 'attestor.removed', 'federation.removed', 'domain.closed']) {
      assert.equal(types[type], 1, type);
    }
    const last = await run(data);
    assert.deepEqual(await grants(last), []);
    await token(last);
    await last.server.stop();
    await verified(data);
  });

  it('where certificates were issued since it refuses, and goes on under a new log', async () => {
    const data = join(scratchDirectory(), 'writ-data');
    const first = await run(data);
    const [kept, revoked] = [await first.letIn('kept'), await first.letIn('revoked')];
    const backup = await backUp(data);
    await first.revoke(revoked.serial);
    const lost = await renewed(first, kept);
    const lostAndRevoked = await renewed(first, kept);
    await first.revoke(lostAndRevoked.serial);
    const newest = await standing(first, data);
    await first.server.stop();
    await putBack(backup, data);

    const refused = refusalOf(await failureOf(run(data)));
    assert.match(refused, /^behind_anchor: the anchor knows a ledger of \d+ entries, but the database has only \d+/);
    const commands = await writ(['operator', 'add', 'bea', '--data', data, '--out', join(data, '..', 'bea.json')]);
    assert.equal(commands.code, 1);
    assert.match(commands.stderr, /older copy.*\nnext: .*writ ledger new-log/);
    const doctor = await writ(['doctor', '--data', data]);
    assert.equal(doctor.code, 7);
    assert.match(doctor.stdout, /FAIL +ledger and anchor/);
    const verify = await writ(['ledger', 'verify', '--data', data]);
    assert.equal(verify.code, 7);
    assert.match(verify.stdout, /anchor/);

    assert.equal((await writ(['ledger', 'new-log', '--data', data])).code, 0);
    assert.notEqual((await writ(['ledger', 'new-log', '--data', data])).code, 0, 'nothing is lost any more');

    const again = await run(data);
    assert.match(await again.document('/ledger/checkpoint'), /^writ\.internal\/ledger-2\n/);
    const { items } = await again.get<{ items: { type: string; body: { lost?: string } }[] }>(
      '/v1/ledger/entries?from=0&limit=200',
    );
    const begun = items.filter(({ type }) => type === 'log.started');
    assert.equal(begun.length, 2);
    const named = parseCheckpoint(parseNote(begun[1]!.body.lost!).text);
    assert.equal(named.origin, 'writ.internal/ledger');
    assert.ok(named.size >= newest.size, 'the newest checkpoint that was lost is named');
    assert.equal((await again.get(`/v1/certificates/${revoked.serial}`))['status'], 'revoked');
    assert.equal((await failureOf(present(again, revoked))).code, 'revoked');
    // What nobody knows any more is good for nothing, revoked or not.
    for (const leaf of [lost, lostAndRevoked])
      assert.match(String((await failureOf(present(again, leaf))).code), UNKNOWN);
    assert.deepEqual(
      [await ocspStatus(again, lost), await ocspStatus(again, lostAndRevoked)],
      ['unknown', 'revoked keyCompromise'],
    );
    assert.equal(await present(again, kept), kept.id);
    await renewed(again, kept);
    await notGoneBack(newest, await standing(again, data));
    await again.server.stop();
    await verified(data);
  });
});

/** Somebody may be let in, and others are believed. */
async function granted({ post }: Run, data: string): Promise<void> {
  for (const argv of [
    ['federation', 'add', 'partner.example', '--url', 'https://bundles.partner.example/', '--profile', 'https_web'],
    // One that was closed does not come back under its name.
    ['domain', 'create', `d${Date.now()}.example`],
  ]) {
    const { code, stderr } = await writ([...argv, '--data', data]);
    assert.equal(code, 0, stderr);
  }
  const settings = ['issuer=https://token.actions.githubusercontent.com', 'audience=agents.example.com'];
  const added = ['attestor', 'add', 'github', '--kind', 'oidc', '--claim', 'repository=example/app'];
  const credential = ['--operator', `${data}-operator`];
  const { code, stderr } = await writ([...added, ...settings.flatMap((one) => ['--set', one]), ...credential]);
  assert.equal(code, 0, stderr);
  await post('/v1/entries', { agent: 'kept', attestor: 'github', match: ['oidc:sub=repo:example/app'] });
}

async function takenBack(at: Run): Promise<void> {
  assert.equal((await grants(at)).length, 4);
  for (const path of await grants(at)) {
    if (path.startsWith('/v1/domains/')) await at.post(`${path}/close`, {});
    else await at.operator.json({ method: 'DELETE', path });
  }
}

/** What was granted and stands, as paths. */
async function grants({ get }: Run): Promise<string[]> {
  type Items = { readonly items: readonly { id?: string; name?: string; trust_domain?: string; state?: string }[] };
  const found: string[] = [];
  for (const kind of ['entries', 'attestors', 'federations', 'domains']) {
    for (const { id, name, trust_domain: domain, state } of (await get<Items>(`/v1/${kind}`)).items) {
      if (state !== 'closed') found.push(`/v1/${kind}/${id ?? name ?? domain}`);
    }
  }
  return found;
}

const REFUSALS = ['access.refused', 'backup.made', 'certificate.refused', 'key.reuse_refused', 'token.refused'];

interface Entry {
  readonly index: number;
  readonly type: string;
  readonly body: object;
}

/** Entries that say what was asked for in vain, or copied. */
async function refusalsOf({ get }: Run): Promise<readonly Entry[]> {
  const { items } = await get<{ items: readonly Entry[] }>('/v1/ledger/entries?from=0&limit=200');
  return items.filter(({ type }) => REFUSALS.includes(type));
}

/** What a leaf is answered; without one, what anybody is. */
async function asks({ server, roots }: Run, leaf: Leaf | undefined, path: string, body: object): Promise<unknown> {
  const client = clientOf(leaf === undefined ? server.open : server.api, roots, leaf);
  try {
    return await client.json({ method: 'POST', path, body });
  } finally {
    client.close();
  }
}

async function identityOf({ post }: Run, agent: string): Promise<Identity> {
  const owner = { team: 'journeys', sponsor: 'sponsor@example.com' };
  await post('/v1/agents', { name: agent, owner, purpose: 'enforces' });
  const { token } = await post<{ token: string }>('/v1/tokens', { agent });
  return connect({ token });
}

function quarantine({ post }: Run, { instance }: Leaf): Promise<{ id: string }> {
  const target = { kind: 'instance', name: instance };
  return post('/v1/stops', { target, cause: 'policy_change', mode: 'quarantine' });
}

/** The serial number of the responder that was certified last. */
async function responderOf({ get }: Run): Promise<string> {
  const { items } = await get<{ items: { serial: string; kind: string }[] }>('/v1/certificates?limit=50');
  return items.find(({ kind }) => kind === 'responder')!.serial;
}

/** Waits until so many stops are on record as effective. */
async function effective(data: string, count: number): Promise<void> {
  const reader = openSqlite({ path: join(data, 'writ.db'), readOnly: true });
  try {
    const sql = "SELECT COUNT(*) AS count FROM ledger_entry WHERE CAST(entry AS TEXT) LIKE '%revocation.effective%'";
    for (const until = Date.now() + 15_000; Number((await reader.get(sql))!['count']) < count; ) {
      assert.ok(Date.now() < until, 'no record of the effect');
      await pause(50);
    }
  } finally {
    await reader.close();
  }
}

async function ocspStatus({ server }: Run, leaf: Leaf): Promise<string> {
  const [certificate, issuer] = [leaf.certificate, leaf.chain[0]!].map((pem) =>
    parseCertificate(decodePem(pem, 'CERTIFICATE')),
  ) as [Certificate, Certificate];
  const body = encodeOcspRequest([encodeCertId(certificate, issuer, 'sha256')]);
  const headers = { 'content-type': 'application/ocsp-request' };
  const answer = await fetch(new URL('/ocsp', server.plain), { method: 'POST', headers, body: Buffer.from(body) });
  const der = new Uint8Array(await answer.arrayBuffer());
  const judged = judgeOcspResponse(der, { certificate, issuer, now: Date.now() });
  if (judged.kind === 'refused') return judged.why;
  return judged.status.kind === 'revoked' ? `revoked ${judged.status.reason}` : judged.status.kind;
}

const UNKNOWN = /^(not_authenticated|revoked)$/;

interface Standing {
  readonly epoch: number;
  readonly size: number;
  readonly crls: ReadonlyMap<string, number>;
}

/** What may never go back. */
async function standing({ server }: Run, data: string): Promise<Standing> {
  const reader = openSqlite({ path: join(data, 'writ.db'), readOnly: true });
  try {
    const { epoch, size } = (await reader.get('SELECT epoch, size FROM ledger_head'))!;
    const crls = new Map<string, number>();
    for (const { authority, crl } of await reader.all('SELECT authority, crl FROM authority_crl')) {
      const stored = crl as Uint8Array;
      crls.set(String(authority), crlNumber(stored));
      const served = new Uint8Array(await (await fetch(`${server.plain}/crl/${String(authority)}.crl`)).arrayBuffer());
      assert.deepEqual(served, new Uint8Array(stored));
    }
    assert.ok(crls.size > 0);
    return { epoch: Number(epoch), size: Number(size), crls };
  } finally {
    await reader.close();
  }
}

function crlNumber(der: Uint8Array): number {
  const found = parseCrl(der).extensions.find(({ oid }) => oid === CRL_NUMBER);
  return Number(decodeCrlNumber(found!.value));
}

async function notGoneBack(before: Standing, after: Standing): Promise<void> {
  assert.ok(after.epoch >= before.epoch, `epoch ${after.epoch} after ${before.epoch}`);
  for (const [authority, number] of before.crls) assert.ok(after.crls.get(authority)! >= number);
}

async function backUp(data: string): Promise<string> {
  const backup = `${data}-backup`;
  const { code, stderr } = await writ(['backup', backup, '--data', data]);
  assert.equal(code, 0, stderr);
  return backup;
}

/** The newest data are gone; the backup takes their place. */
async function putBack(backup: string, data: string): Promise<void> {
  renameSync(data, `${data}-lost`);
  const { code, stderr } = await writ(['restore', backup, '--data', data]);
  assert.equal(code, 0, stderr);
}

async function verified(data: string): Promise<void> {
  const { code, stdout, stderr } = await writ(['ledger', 'verify', '--data', data]);
  assert.equal(code, 0, stdout + stderr);
}

async function present({ server, roots }: Run, leaf: Leaf): Promise<string> {
  const client = clientOf(server.api, roots, leaf);
  try {
    return await whoami(client);
  } finally {
    client.close();
  }
}

async function renewed({ server, roots }: Run, leaf: Leaf): Promise<Leaf> {
  const client = clientOf(server.api, roots, leaf);
  try {
    return await renew(client);
  } finally {
    client.close();
  }
}
