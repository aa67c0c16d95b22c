import assert from 'node:assert/strict';
import { onEachEngine } from '../../test/engines.ts';
import {
  ADA,
  callerOf,
  childOf,
  createInstallation,
  type Installation,
  letIn,
  newKey,
  newToken,
  register,
  renewWith,
} from '../../test/installation.ts';
import type { Caller } from '../base/access.ts';
import { type ErrorCode, isWritError } from '../base/error.ts';
import { readBundle } from '../ca/bundle/bundle.ts';
import { keepSvidKeys, rotateSvidKey } from '../ca/bundle/svid-keys.ts';
import { formatSerial } from '../ca/certificate/serial.ts';
import { SVID_KEYS, tokenSigner } from '../ca/jwt/key.ts';
import type { CommitBatch } from '../db/batch.ts';
import { EpochCache } from '../db/epoch-cache.ts';
import { validateJwtSvid } from '../jwt/jwt-svid.ts';
import { parseSpiffeBundle } from '../jwt/spiffe-bundle.ts';
import { actingFor } from '../revocation/acting.ts';
import { quarantine } from '../revocation/quarantine.ts';
import { revokeCertificate } from '../revocation/revoke.ts';
import { stopInstance } from '../revocation/stop-instance.ts';
import { enrol } from './enrol.ts';
import { issueJwtSvid, type JwtSvidParts, type JwtSvidRequest } from './jwt-svid.ts';

const ISSUER = 'https://id.agents.example.com';
const AUDIENCE = 'https://reports.example.com';
const refusedAs = (code: ErrorCode) => (error: unknown) => isWritError(error, code);

async function setUp(open: () => Promise<Parameters<typeof createInstallation>[0]>) {
  const installation = await createInstallation(await open());
  const { database, commit, keyring, random, clock, issuance, epoch } = installation;
  await keepSvidKeys({ reader: database, commit, keyring, random, clock });
  await register(installation, 'planner');
  const parent = await letIn(installation, { agent: 'planner' });
  const parts: JwtSvidParts = {
    ...issuance,
    issuer: () => ISSUER,
    tokenKey: tokenSigner(database, keyring, clock.now, SVID_KEYS),
    goodSerials: new EpochCache(epoch, 10),
  };
  /** As the door does it. */
  const ask = async (caller: Caller, request: Partial<JwtSvidRequest> = {}, meanwhile?: () => Promise<unknown>) => {
    const asking = { ...caller, asOf: epoch.current() };
    const acting = await actingFor(asking, issuance, { policy: false });
    const commitLater: CommitBatch = async (batch) => {
      const act = meanwhile;
      meanwhile = undefined;
      await act?.();
      return acting.commit(batch);
    };
    return issueJwtSvid(asking, { audience: [AUDIENCE], ...request }, { ...parts, ...acting, commit: commitLater });
  };
  const said = async (type: string) => (await installation.events()).filter((event) => event.type === type);
  return { installation, parent, parts, ask, said };
}

async function validated({ database, clock }: Installation, token: string, audience = AUDIENCE) {
  const bundle = parseSpiffeBundle(Buffer.from(JSON.stringify({ keys: (await readBundle(database))!.keys })), 'bundle');
  return validateJwtSvid(token, { keys: () => bundle.jwtKeys, audience, now: clock.now() });
}

onEachEngine('an instance gets a token that says who it is, and the ledger says so first', async ({ open }) => {
  const { installation, parent, ask, said } = await setUp(open);
  const { token, id, expiresAt, jti } = await ask(callerOf(parent));
  assert.equal(id, parent.id);
  const now = installation.clock.now();
  assert.equal(expiresAt, Math.floor(now / 1000) * 1000 + 300_000);
  const valid = await validated(installation, token);
  assert.ok(valid.ok, JSON.stringify(valid));
  assert.equal(valid.id.uri, parent.id);
  const [iat, exp] = [Math.floor(now / 1000), expiresAt / 1000];
  assert.deepEqual(valid.claims, { iss: ISSUER, sub: parent.id, aud: [AUDIENCE], jti, iat, exp });
  const header = JSON.parse(Buffer.from(token.split('.')[0]!, 'base64url').toString());
  assert.deepEqual(Object.keys(header).sort(), ['alg', 'kid', 'typ']);
  const [event, ...more] = await said('jwt.issued');
  assert.deepEqual(more, []);
  const { rules, policy, ...body } = event!.body;
  assert.deepEqual(body, {
    caller: parent.id,
    subject: parent.id,
    audience: [AUDIENCE],
    jti,
    expires_at: new Date(expiresAt).toISOString(),
    kid: header.kid,
  });
  assert.deepEqual([rules, policy], [['instances-get-tokens'], 1]);
  assert.ok(!JSON.stringify(await installation.events()).includes(token.split('.')[2]!), 'the token is nowhere');
  await installation.close();
});

onEachEngine('nothing leaves before it is recorded', async ({ open }) => {
  const { installation, parent, parts } = await setUp(open);
  const failing: CommitBatch = async () => {
    throw new Error('disk full');
  };
  await assert.rejects(issueJwtSvid(callerOf(parent), { audience: ['a'] }, { ...parts, commit: failing }), /disk full/);
  await installation.close();
});

onEachEngine('for oneself and what one let in, and for nobody else', async ({ open }) => {
  const { installation, parent, ask, said } = await setUp(open);
  const child = await childOf(installation, parent);
  const grandchild = await childOf(installation, child);
  const sibling = await letIn(installation, { agent: 'planner' });
  assert.equal((await ask(callerOf(parent), { instance: child.instance! })).id, child.id);
  assert.equal((await ask(callerOf(parent), { instance: parent.instance! })).id, parent.id);
  const [, own] = await said('jwt.issued');
  assert.equal(own!.body['caller'], parent.id);
  for (const [who, instance] of [
    [parent, grandchild.instance!],
    [parent, sibling.instance!],
    [child, parent.instance!],
    [sibling, child.instance!],
    [parent, '01jd0000000000000000000000'],
  ] as const) {
    await assert.rejects(ask(callerOf(who), { instance }), refusedAs('denied'));
  }
  for (const instance of [undefined, parent.instance!]) {
    await assert.rejects(
      ask(ADA, instance === undefined ? {} : { instance }),
      refusedAs('denied'),
      'people have their own',
    );
  }
  await installation.close();
});

onEachEngine('it lives as it is asked to, five minutes at most, and not beyond what it rests on', async ({ open }) => {
  const { installation, parent, ask } = await setUp(open);
  const left = async (request: Partial<JwtSvidRequest>, who = parent): Promise<number> =>
    ((await ask(callerOf(who), request)).expiresAt - installation.clock.now()) / 1000;
  assert.equal(await left({ lifetime: 20 }), 20);
  for (const lifetime of [301, 3600, 3601, 0, -1]) {
    await assert.rejects(ask(callerOf(parent), { lifetime }), refusedAs('denied'), `${lifetime}`);
  }
  const child = await childOf(installation, parent);
  // The certificates have an hour.
  installation.advance(3_600_000 - 100_000);
  const rest = await left({});
  assert.ok(rest <= 100 && rest > 98, `${rest}`);
  assert.ok((await left({ instance: child.instance! })) <= 100);
  // What the parent renews is not what the child has; when the child renews, too, there is time again.
  const renewed = await renewWith(installation, parent);
  assert.ok((await left({ instance: child.instance! }, renewed)) <= 100);
  await renewWith(installation, child);
  assert.equal(await left({ instance: child.instance! }, renewed), 300);
  assert.ok((await left({ instance: child.instance! }, parent)) <= 100, 'nor beyond the certificate of who asks');
  installation.advance(100_000);
  await assert.rejects(ask(callerOf(parent)), refusedAs('expired'));

  const until = installation.clock.now() + 60_000;
  const token = await newToken(installation, { agent: 'planner' }, callerOf(renewed));
  const evidence = await token.attest();
  assert.ok(evidence.accepted);
  const short = { ...evidence, attested: { ...evidence.attested, expiresAt: until } };
  const brief = await enrol(
    { kind: 'anonymous', id: 'anonymous' },
    { evidence: short, csr: await newKey().csr(), wish: {} },
    installation.issuance,
  );
  assert.ok((await left({}, brief)) <= 60, 'nor beyond the evidence on which it was let in');
  await installation.close();
});

onEachEngine('what is held, stopped or revoked gets nothing, also in the very moment', async ({ open }) => {
  const { installation, parent, ask, said } = await setUp(open);
  const { issuance } = installation;
  const cord = { ...issuance, massStop: 100 };
  const acts: Record<string, { code: ErrorCode; act: (child: typeof parent) => Promise<unknown> }> = {
    stopped: {
      code: 'revoked',
      act: ({ instance }) => stopInstance(ADA, { instance: instance!, cause: 'task_completed' }, issuance),
    },
    held: {
      code: 'inactive',
      act: ({ instance }) =>
        quarantine(ADA, { target: { kind: 'instance', name: instance! }, cause: 'risk_signal' }, cord),
    },
    'with its newest certificate revoked': {
      code: 'revoked',
      act: ({ serial }) => revokeCertificate(ADA, { serial, cause: 'key_theft' }, issuance),
    },
    'with its newest certificate held': {
      code: 'inactive',
      act: ({ serial }) =>
        quarantine(ADA, { target: { kind: 'certificate', name: formatSerial(serial) }, cause: 'risk_signal' }, cord),
    },
  };
  for (const [name, { code, act }] of Object.entries(acts)) {
    const before = (await said('jwt.issued')).length;
    const after = await childOf(installation, parent);
    await act(after);
    await assert.rejects(ask(callerOf(parent), { instance: after.instance! }), refusedAs(code), name);
    const between = await childOf(installation, parent);
    const meanwhile = () => act(between);
    const request = { instance: between.instance! };
    await assert.rejects(ask(callerOf(parent), request, meanwhile), refusedAs(code), `${name} meanwhile`);
    assert.equal((await said('jwt.issued')).length, before, name);
  }
  const refusals = await said('access.refused');
  assert.ok(refusals.some(({ body }) => body['action'] === 'jwt.issue' && body['code'] === 'inactive'));

  const alone = await letIn(installation, { agent: 'planner' });
  await assert.rejects(
    ask(callerOf(alone), {}, () => revokeCertificate(ADA, { serial: alone.serial, cause: 'key_theft' }, issuance)),
    refusedAs('revoked'),
    'the certificate that asks',
  );
  const kin = await childOf(installation, parent);
  await quarantine(ADA, { target: { kind: 'parent', name: parent.instance! }, cause: 'risk_signal' }, cord);
  await assert.rejects(ask(callerOf(kin)), refusedAs('inactive'), 'held with who let it in');
  await installation.close();
});

onEachEngine('a key that is replaced in the very moment signs nothing that anybody gets', async ({ open }) => {
  const { installation, parent, ask } = await setUp(open);
  const { database, commit, keyring, random, clock } = installation;
  const rotating = {
    ...{ reader: database, commit, keyring, random, clock },
    authorize: () => ({ allowed: true, rules: [], policyVersion: 1 }) as const,
  };
  await ask(callerOf(parent));
  const { token } = await ask(callerOf(parent), {}, () => rotateSvidKey(ADA, { atOnce: true }, rotating));
  assert.ok((await validated(installation, token)).ok, 'it went once more, with the new key');
  await installation.close();
});

onEachEngine('each call makes another token, and each is on the ledger', async ({ open }) => {
  const { installation, parent, ask, said } = await setUp(open);
  const child = await childOf(installation, parent);
  const tokens = [];
  for (let n = 0; n < 3; n++) tokens.push(await ask(callerOf(parent), { instance: child.instance! }));
  assert.equal(new Set(tokens.map(({ token }) => token)).size, 3);
  assert.deepEqual(
    (await said('jwt.issued')).map(({ body }) => body['jti']),
    tokens.map(({ jti }) => jti),
  );
  assert.deepEqual(await installation.database.all('SELECT kind FROM idempotency'), [], 'none is kept');
  await installation.close();
});

onEachEngine('a certificate that was found good once is looked at again when anything moved', async ({ open }) => {
  const { installation, parent, parts, ask } = await setUp(open);
  const { issuance } = installation;
  const cord = { ...issuance, massStop: 100 };
  const caller = callerOf(parent);
  const acts: Record<string, { code: ErrorCode; act: (child: typeof parent) => Promise<unknown> }> = {
    revoked: { code: 'revoked', act: ({ serial }) => revokeCertificate(ADA, { serial, cause: 'key_theft' }, issuance) },
    held: {
      code: 'inactive',
      act: ({ serial }) =>
        quarantine(ADA, { target: { kind: 'certificate', name: formatSerial(serial) }, cause: 'risk_signal' }, cord),
    },
  };
  for (const [name, { code, act }] of Object.entries(acts)) {
    for (const meanwhile of [false, true]) {
      const child = await childOf(installation, parent);
      const request = { instance: child.instance! };
      for (let n = 0; n < 2; n++) await ask(caller, request);
      assert.deepEqual(parts.goodSerials.get(child.instance!), child.serial, 'it is remembered');
      if (!meanwhile) await act(child);
      const late = meanwhile ? () => act(child) : undefined;
      await assert.rejects(ask(caller, request, late), refusedAs(code), `${name}${meanwhile ? ' meanwhile' : ''}`);
    }
  }

  // A renewal moves no epoch, so what is remembered is not the newest any more.
  const child = await childOf(installation, parent);
  const request = { instance: child.instance! };
  await ask(caller, request);
  installation.advance(3_600_000 - 200_000);
  const again = callerOf(await renewWith(installation, parent));
  assert.ok((await ask(again, request)).expiresAt - installation.clock.now() <= 200_000);
  const renewed = await renewWith(installation, child);
  assert.ok((await ask(again, request)).expiresAt - installation.clock.now() > 200_000);
  assert.deepEqual(parts.goodSerials.get(child.instance!), renewed.serial);
  // One that is revoked before it was ever looked at.
  const next = await renewWith(installation, renewed);
  await assert.rejects(
    ask(again, request, () => revokeCertificate(ADA, { serial: next.serial, cause: 'key_theft' }, issuance)),
    refusedAs('revoked'),
  );
  await installation.close();
});

onEachEngine('what is remembered gives way to what was renewed in the very moment', async ({ open }) => {
  const { installation, parent, parts, ask, said } = await setUp(open);
  const child = await childOf(installation, parent);
  const request = { instance: child.instance! };
  await ask(callerOf(parent), request);
  let renewed = child;
  await ask(callerOf(parent), request, async () => {
    renewed = await renewWith(installation, child);
  });
  assert.deepEqual(parts.goodSerials.get(child.instance!), renewed.serial);
  assert.notDeepEqual(renewed.serial, child.serial);
  assert.equal((await said('jwt.issued')).length, 2, 'nothing is left of the first attempt');
  await installation.close();
});
