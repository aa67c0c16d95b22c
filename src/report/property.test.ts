import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import {
  ADA,
  ANONYMOUS,
  callerOf,
  createInstallation,
  letIn,
  newKey,
  newToken,
  register,
  type TestKey,
} from '../../test/installation.ts';
import { isWritError } from '../base/error.ts';
import { blocksKey, type Cause } from '../ca/revocation-cause.ts';
import { openSqlite } from '../db/sqlite.ts';
import { enrol } from '../issuance/enrol.ts';
import { KEY_KEPT } from '../issuance/issue.ts';
import type { IssuedCertificate } from '../issuance/issued.ts';
import { renewCertificate } from '../issuance/renew.ts';
import { replaceCertificate } from '../issuance/replace.ts';
import { revokeCertificate } from '../revocation/revoke.ts';
import { stopAgent } from '../revocation/stop-agent.ts';
import { stopInstance } from '../revocation/stop-instance.ts';
import { parseCertificate } from '../x509/certificate.ts';
import { findExtension } from '../x509/extension.ts';
import { AGENT_CONTEXT, decodeAgentContext } from '../x509/extensions/agent-context.ts';
import { certificatesAt } from './certificates.ts';
import { certificateCheck } from './index-check.ts';

/*
 * Random sequences of everything that can happen to certificates, against a model of a few lines: each act has the
 * outcome that the model predicts, and whatever instant is asked about afterwards, the answer is the model's.
 */

const folder = mkdtempSync(join(tmpdir(), 'writ-property-'));
const database = openSqlite({ path: join(folder, 'writ.db') });
const installation = await createInstallation(database, { rowLimit: 9 });
after(async () => {
  await installation.close();
  await database.close();
  rmSync(folder, { recursive: true });
});
const { issuance, clock } = installation;
const parts = { ...issuance, chain: (issuer: string) => issuance.authority.chain(issuer) };

const SCOPES = ['a', 'b', 'c'];

interface Copy {
  readonly id: string;
  readonly agent: string;
  scopes: string[];
  stopped: boolean;
}

interface Certificate {
  readonly issued: IssuedCertificate;
  readonly copy: Copy;
  readonly key: Key;
  revokedAt?: number;
}

interface Key {
  readonly made: TestKey;
  holder?: string;
  until: number;
  blocked: boolean;
}

interface World {
  readonly agents: { readonly name: string; retired: boolean }[];
  readonly copies: Copy[];
  readonly certificates: Certificate[];
  readonly keys: Key[];
}

type Outcome = string;

async function outcomeOf<T>(act: () => Promise<T>, then: (result: T) => void): Promise<Outcome> {
  try {
    then(await act());
    return 'done';
  } catch (error) {
    if (isWritError(error)) return error.code;
    throw error;
  }
}

function mayHold(key: Key, holder: string): boolean {
  return !key.blocked && (key.holder === holder || key.until <= clock.now());
}

function issuedTo(world: World, copy: Copy, key: Key, issued: IssuedCertificate): void {
  key.holder = copy.id;
  key.until = Math.max(key.until, issued.expiresAt + KEY_KEPT);
  world.certificates.push({ issued, copy, key });
  const extension = findExtension(parseCertificate(issued.der).extensions, AGENT_CONTEXT);
  assert.deepEqual(extension === undefined ? [] : (decodeAgentContext(extension.value).scopes ?? []), copy.scopes);
}

function revoke(certificate: Certificate, cause: Cause): void {
  certificate.revokedAt ??= clock.now();
  if (blocksKey(cause)) certificate.key.blocked = true;
}

function isUp(world: World, copy: Copy): boolean {
  return !copy.stopped && world.agents.some(({ name, retired }) => name === copy.agent && !retired);
}

function stopped(world: World, copy: Copy): void {
  for (const certificate of world.certificates) {
    const over = certificate.revokedAt !== undefined || certificate.issued.expiresAt <= clock.now();
    if (certificate.copy === copy && !over) revoke(certificate, 'cascade');
  }
  copy.stopped = true;
}

/** Numbers choose among what there is, whatever there is. */
const choice = fc.nat(999);
const pick = <T>(list: readonly T[], number: number): T | undefined => list[number % Math.max(1, list.length)];
const wanted = fc.option(fc.subarray(SCOPES), { nil: undefined });
/** Seconds; absent: what the profile gives. */
const lifetime = fc.constantFrom(undefined, undefined, 300, 1000, 3600, 20_000, 86_400);

const act = fc.oneof(
  { weight: 9, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(3_000_000) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('enrol' as const),
      agent: choice,
      key: choice,
      scopes: fc.subarray(SCOPES),
    }),
  },
  {
    weight: 24,
    arbitrary: fc.record({ kind: fc.constant('renew' as const), of: choice, key: choice, scopes: wanted, lifetime }),
  },
  { weight: 9, arbitrary: fc.record({ kind: fc.constant('replace' as const), of: choice, key: choice, lifetime }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('revoke' as const), of: choice }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('stop' as const), of: choice }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('retire' as const), of: choice }) },
);
type Act = typeof act extends fc.Arbitrary<infer T> ? T : never;

/** What the model says will come of an act. */
function predict(world: World, step: Act): Outcome {
  if (step.kind === 'enrol') {
    const agent = pick(world.agents, step.agent)!;
    if (agent.retired) return 'revoked';
    return mayHold(pick(world.keys, step.key)!, 'nobody yet') ? 'done' : 'key_in_use';
  }
  if (step.kind !== 'renew' && step.kind !== 'replace') return 'done';
  const certificate = pick(world.certificates, step.of);
  if (certificate === undefined) return 'done';
  const { copy, issued, revokedAt } = certificate;
  if (!isUp(world, copy)) return 'revoked';
  if (step.kind === 'replace' && revokedAt !== undefined) return 'revoked';
  if (step.kind === 'replace' && issued.expiresAt <= clock.now()) return 'expired';
  if (step.kind === 'renew' && step.scopes?.some((scope) => !copy.scopes.includes(scope))) return 'denied';
  return mayHold(pick(world.keys, step.key)!, copy.id) ? 'done' : 'key_in_use';
}

async function perform(world: World, step: Act): Promise<Outcome> {
  switch (step.kind) {
    case 'wait':
      installation.advance(step.ms);
      return 'done';
    case 'enrol': {
      const agent = pick(world.agents, step.agent)!;
      const key = pick(world.keys, step.key)!;
      const scopes = [...step.scopes].sort();
      return outcomeOf(
        () => letIn(installation, { agent: agent.name, scopes }, key.made),
        (issued) => {
          const copy = { id: issued.instance!, agent: agent.name, scopes, stopped: false };
          world.copies.push(copy);
          issuedTo(world, copy, key, issued);
        },
      );
    }
    case 'renew':
    case 'replace': {
      const certificate = pick(world.certificates, step.of);
      if (certificate === undefined) return 'done';
      const { copy, issued: before } = certificate;
      const key = pick(world.keys, step.key)!;
      const csr = await key.made.csr();
      const wish = { scopes: step.kind === 'renew' ? step.scopes : undefined, lifetime: step.lifetime };
      const flow = step.kind === 'renew' ? renewCertificate : replaceCertificate;
      return outcomeOf(
        () => flow(callerOf(before), { csr, wish }, issuance),
        (issued) => {
          if (wish.scopes !== undefined) copy.scopes = copy.scopes.filter((scope) => wish.scopes!.includes(scope));
          if (step.kind === 'replace') revoke(certificate, 'superseded_by_renewal');
          issuedTo(world, copy, key, issued);
        },
      );
    }
    case 'revoke': {
      const certificate = pick(world.certificates, step.of);
      if (certificate === undefined) return 'done';
      const { serial } = certificate.issued;
      const first = certificate.revokedAt === undefined;
      return outcomeOf(
        () => revokeCertificate(ADA, { serial, cause: 'key_theft' }, issuance),
        () => first && revoke(certificate, 'key_theft'),
      );
    }
    case 'stop': {
      const copy = pick(world.copies, step.of);
      if (copy === undefined || copy.stopped) return 'done';
      return outcomeOf(
        () => stopInstance(ADA, { instance: copy.id, cause: 'cascade' }, issuance),
        () => stopped(world, copy),
      );
    }
    case 'retire': {
      const agent = pick(world.agents, step.of)!;
      return outcomeOf(
        () => stopAgent(ADA, { name: agent.name, cause: 'cascade' }, issuance),
        () => {
          agent.retired = true;
          for (const copy of world.copies.filter((one) => one.agent === agent.name)) stopped(world, copy);
        },
      );
    }
  }
}

async function answerAt(time: number, agent: string): Promise<number[]> {
  const leaves: number[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await certificatesAt(ADA, { time, agent }, cursor === undefined ? {} : { cursor }, parts);
    leaves.push(...page.items.map(({ leaf }) => leaf));
    if (page.next === undefined) return leaves.sort((a, b) => a - b);
    cursor = page.next;
  }
}

let worlds = 0;
async function newWorld(): Promise<World> {
  const agents = ['x', 'y'].map((name) => ({ name: `${name}-${worlds}`, retired: false }));
  worlds++;
  for (const { name } of agents) await register(installation, name);
  const keys = Array.from({ length: 6 }, (): Key => ({ made: newKey(), until: 0, blocked: false }));
  return { agents, copies: [], certificates: [], keys };
}

test('each act has the outcome, and each instant the certificates, that the model says', async () => {
  const instants = fc.array(fc.double({ min: -0.1, max: 1.4, noNaN: true }), { minLength: 5, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(fc.array(act, { minLength: 10, maxLength: 45 }), instants, async (steps, moments) => {
      const world = await newWorld();
      const start = clock.now();
      for (const step of steps) {
        const want = predict(world, step);
        assert.equal(await perform(world, step), want, JSON.stringify(step));
      }
      const span = clock.now() - start + 3_600_000;
      const edges = world.certificates.flatMap(({ issued, revokedAt }) => [
        issued.issuedAt,
        issued.expiresAt,
        revokedAt ?? 0,
      ]);
      for (const time of [
        ...moments.map((part) => Math.round(start + part * span)),
        ...edges.slice(0, 10),
        clock.now(),
      ]) {
        for (const { name } of world.agents) {
          const want = world.certificates
            .filter(({ copy, issued }) => copy.agent === name && issued.issuedAt <= time && time < issued.expiresAt)
            .filter(({ revokedAt }) => revokedAt === undefined || time < revokedAt);
          assert.deepEqual(
            await answerAt(time, name),
            want.map(({ issued }) => issued.leaf).sort((a, b) => a - b),
          );
        }
      }
    }),
    { numRuns: 25 },
  );
});

test('whatever happens at once, no key serves two, nothing widens, tokens count, and the index is the log', async () => {
  const wave = fc.array(
    act.filter(({ kind }) => kind !== 'wait'),
    { minLength: 5, maxLength: 15 },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(wave, { minLength: 2, maxLength: 4 }), async (waves) => {
      const world = await newWorld();
      const from = (await installation.events()).length;
      const token = await newToken(installation, { agent: world.agents[0]!.name, uses: 3, scopes: SCOPES });
      let entered = 0;
      for (const steps of waves) {
        const extra = Array.from({ length: 2 }, async () => {
          const evidence = await token.attest();
          const csr = await newKey().csr();
          await outcomeOf(
            () => enrol(ANONYMOUS, { evidence, csr }, issuance),
            () => entered++,
          );
        });
        // The model is not asked here: at once, nobody can say who is first.
        await Promise.all([...extra, ...steps.map((step) => anything(world, step))]);
        installation.advance(60_000);
      }
      assert.ok(entered <= 3);
      const events = await installation.events(from);
      const holders = new Map<string, string>();
      const scopes = new Map<string, readonly string[]>();
      for (const { type, body, subjects } of events) {
        if (type !== 'certificate.issued' && type !== 'certificate.renewed' && type !== 'certificate.replaced')
          continue;
        const certificate = parseCertificate(Buffer.from(String(body['certificate']), 'base64url'));
        const instance = subjects.find((subject) => subject.startsWith('instance:'))!;
        const key = Buffer.from(certificate.spki).toString('hex');
        assert.equal(holders.get(key) ?? instance, instance, 'a key serves one instance');
        holders.set(key, instance);
        const extension = findExtension(certificate.extensions, AGENT_CONTEXT);
        const now = extension === undefined ? [] : (decodeAgentContext(extension.value).scopes ?? []);
        assert.ok(
          now.every((scope) => (scopes.get(instance) ?? SCOPES).includes(scope)),
          'scopes only get fewer',
        );
        scopes.set(instance, now);
      }
    }),
    { numRuns: 12 },
  );
  const findings: string[] = [];
  const check = certificateCheck(database);
  await check.entries(await installation.events(), (where, what) => findings.push(`${where} ${what}`));
  await check.finish((where, what) => findings.push(`${where} ${what}`));
  assert.deepEqual(findings, []);
});

/** An act of which only the certificates are kept. */
async function anything(world: World, step: Act): Promise<void> {
  const { certificates, copies, keys, agents } = world;
  const keep = (issued: IssuedCertificate, copy: Copy): void => {
    certificates.push({ issued, copy, key: keys[0]! });
  };
  const key = 'key' in step ? pick(keys, step.key)!.made : undefined;
  const certificate = 'of' in step ? pick(certificates, step.of) : undefined;
  const acts: Record<Act['kind'], () => Promise<unknown>> = {
    wait: async () => undefined,
    enrol: async () => {
      const { name } = pick(agents, step.kind === 'enrol' ? step.agent : 0)!;
      const issued = await letIn(installation, { agent: name, scopes: SCOPES }, key);
      const copy = { id: issued.instance!, agent: name, scopes: SCOPES, stopped: false };
      copies.push(copy);
      keep(issued, copy);
    },
    renew: async () => {
      if (certificate === undefined) return;
      const wish = { scopes: step.kind === 'renew' ? step.scopes : undefined };
      const csr = await key!.csr();
      keep(await renewCertificate(callerOf(certificate.issued), { csr, wish }, issuance), certificate.copy);
    },
    replace: async () => {
      if (certificate === undefined) return;
      const csr = await key!.csr();
      keep(await replaceCertificate(callerOf(certificate.issued), { csr }, issuance), certificate.copy);
    },
    revoke: async () =>
      certificate && revokeCertificate(ADA, { serial: certificate.issued.serial, cause: 'key_theft' }, issuance),
    stop: async () => certificate && stopInstance(ADA, { instance: certificate.copy.id, cause: 'cascade' }, issuance),
    retire: async () => undefined,
  };
  await outcomeOf(acts[step.kind], () => undefined);
}
