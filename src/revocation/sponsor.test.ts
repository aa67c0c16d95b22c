/** What the sponsor of an agent may do: quarantine and stop it, and nothing else (docs/REGISTRY.md). */
import assert from 'node:assert/strict';
import { onEachEngine } from '../../test/engines.ts';
import {
  callerOf,
  createInstallation,
  type Installation,
  letIn,
  newKey,
  register,
  SYSTEM,
} from '../../test/installation.ts';
import type { Caller } from '../base/access.ts';
import { type ErrorCode, isWritError } from '../base/error.ts';
import { formatSerial } from '../ca/certificate/serial.ts';
import { addOperatorOf } from '../issuance/add-operator.ts';
import { publishPolicy } from '../policy/publish.ts';
import { defaultPolicyText } from '../policy/text-files.ts';
import { changeOwner } from '../registry/owners.ts';
import { personOf } from '../registry/person.ts';
import { changeAgent } from '../registry/update.ts';
import type { Name } from '../spiffe-id/name.ts';
import type { CordParts } from './parts.ts';
import { quarantine } from './quarantine.ts';
import { releaseStop } from './release.ts';
import { revokeCertificate } from './revoke.ts';
import { stopForEver } from './stop.ts';
import { stopAgent } from './stop-agent.ts';
import { stopInstance } from './stop-instance.ts';
import { wouldFall } from './would-fall.ts';

const code = (wanted: ErrorCode) => (error: unknown) => isWritError(error, wanted);

const cordOf = ({ issuance, random }: Installation): CordParts => ({ ...issuance, random, massStop: 100 });

interface Given {
  readonly person?: string;
  readonly email?: string;
  readonly program?: true;
}

async function operator(installation: Installation, name: string, { program, ...given }: Given = {}): Promise<Caller> {
  const { database, issuance, policy } = installation;
  const whose = program === true ? undefined : await personOf(database, name as Name, given);
  await issuance.refresh();
  const csr = await newKey().csr();
  const caller = callerOf(await addOperatorOf(SYSTEM, { operator: name as Name, csr, person: whose }, issuance));
  await policy.fresh();
  return caller;
}

/** The first operator, who is an officer, and an agent whose sponsor is `sponsor`, beside one of somebody else's. */
async function world(installation: Installation, sponsor: string) {
  const first = await operator(installation, 'first');
  await register(installation, 'planner');
  await register(installation, 'writer');
  const sponsored = async (to: string): Promise<void> => {
    await changeAgent(first, { name: 'planner', change: { owner: { sponsor: to } } }, installation.registry);
  };
  await sponsored(sponsor);
  return { first, sponsored };
}

onEachEngine('the sponsor quarantines and stops what is theirs, in each way that there is', async ({ open }) => {
  const installation = await createInstallation(await open());
  const parts = cordOf(installation);
  const { first } = await world(installation, 'sue');
  const sue = await operator(installation, 'sue');
  const cause = 'session_replay';
  const instance = await letIn(installation, { agent: 'planner' });
  const name = instance.instance!;
  for (const target of [
    { kind: 'certificate', name: formatSerial(instance.serial) },
    { kind: 'instance', name },
    { kind: 'parent', name },
    { kind: 'agent', name: 'planner' },
  ] as const) {
    const falls = await wouldFall(sue, { target, cause, mode: 'quarantine' }, parts);
    assert.ok(falls.certificates.length > 0, target.kind);
    const stop = await quarantine(sue, { target, cause }, parts);
    assert.deepEqual([stop.state, stop.authority], ['quarantined', ['a-sponsor-stops-their-own']], target.kind);
    await assert.rejects(releaseStop(sue, stop.id, parts), code('needs_approval'), 'letting go takes others');
    await releaseStop(SYSTEM, stop.id, parts);
  }
  await revokeCertificate(sue, { serial: instance.serial, cause }, parts);
  const another = await letIn(installation, { agent: 'planner' });
  await stopInstance(sue, { instance: another.instance!, cause }, parts);
  const third = await letIn(installation, { agent: 'planner' });
  await stopForEver(sue, { target: { kind: 'instance', name: third.instance! }, cause }, parts);
  assert.equal((await stopAgent(sue, { name: 'planner', cause }, parts)).status, 'retired');
  assert.equal(
    (await stopForEver(first, { target: { kind: 'agent', name: 'writer' }, cause }, parts)).state,
    'revoked',
  );
});

onEachEngine(
  'and nothing else: not what others answer for, not the team, and nothing but stopping',
  async ({ open }) => {
    const installation = await createInstallation(await open());
    const { registry, policy } = installation;
    const parts = cordOf(installation);
    const { sponsored } = await world(installation, 'sue');
    const sue = await operator(installation, 'sue');
    const cause = 'session_replay';
    const writer = await letIn(installation, { agent: 'writer' });
    for (const target of [
      { kind: 'certificate', name: formatSerial(writer.serial) },
      { kind: 'instance', name: writer.instance! },
      { kind: 'agent', name: 'writer' },
      { kind: 'owner', name: 'research' },
      { kind: 'label', name: 'fleet=blue' },
    ] as const) {
      await assert.rejects(quarantine(sue, { target, cause }, parts), code('denied'), target.kind);
      await assert.rejects(stopForEver(sue, { target, cause }, parts), code('denied'), target.kind);
    }
    await assert.rejects(changeOwner(sue, { team: 'research', status: 'gone' }, registry), code('denied'));
    for (const change of [{ owner: { sponsor: 'paul' } }, { owner: { team: 'sales' } }]) {
      await assert.rejects(
        changeAgent(sue, { name: 'planner', change }, registry),
        code('denied'),
        'hands nothing over',
      );
    }
    await assert.rejects(
      changeAgent(sue, { name: 'writer', change: { owner: { sponsor: 'sue' } } }, registry),
      code('denied'),
      'nor makes it hers first',
    );
    const resource = { type: 'Agent', id: 'planner' } as const;
    const facts = { team: 'research', environment: 'default', profile: 'agent', status: 'active', labels: [] };
    const certify = {
      ...{
        profile: 'agent',
        lifetimeSeconds: 3600,
        dnsNames: [],
        ipAddresses: [],
        keyAlgorithm: 'ecdsa-p256',
        scopes: [],
      },
      ...{ profileMinSeconds: 300, profileMaxSeconds: 86_400, profileDnsNames: false, profileIpAddresses: false },
    };
    for (const action of ['certificate.issue', 'certificate.replace'] as const) {
      const asks = { caller: sue, action, resource: { ...resource, facts }, context: certify };
      assert.ok(!policy.authorize(asks).allowed, action);
    }
    // Somebody else answers for it from now on.
    await sponsored('paul');
    const planner = { kind: 'agent', name: 'planner' } as const;
    await assert.rejects(quarantine(sue, { target: planner, cause }, parts), code('denied'));
  },
);

onEachEngine('a sponsor is a person, by the name of any credential or by e-mail address', async ({ open }) => {
  const installation = await createInstallation(await open());
  const parts = cordOf(installation);
  const { sponsored } = await world(installation, 'nobody');
  const sue = await operator(installation, 'sue', { email: 'Sue@example.com' });
  const sueToo = await operator(installation, 'sue-laptop', { person: 'sue' });
  const other = await operator(installation, 'paul', { email: 'paul@example.com' });
  const program = await operator(installation, 'scraper', { program: true });
  // A letter that is none of a to z, and looks like one: the Kelvin sign.
  const kelvin = await operator(installation, 'mallory', { email: '\u212aim@example.com' });
  const target = { kind: 'agent', name: 'planner' } as const;
  const may = async (caller: Caller): Promise<boolean> => {
    try {
      await wouldFall(caller, { target, cause: 'policy_change', mode: 'revocation' }, parts);
      return true;
    } catch (error) {
      assert.ok(isWritError(error, 'denied'));
      return false;
    }
  };
  for (const [text, want] of [
    ['sue', true],
    ['sue-laptop', true],
    ['sue@example.com', true],
    ['Sue', false],
    ['sue@example.org', false],
    ['\u017fue@example.com', false],
    ['Sue Example', false],
    ['%', false],
  ] as const) {
    await sponsored(text);
    for (const caller of [sue, sueToo]) assert.equal(await may(caller), want, `${text}: ${caller.operator}`);
    for (const caller of [other, program]) assert.equal(await may(caller), false, `${text}: ${caller.operator}`);
  }
  await sponsored('kim@example.com');
  assert.equal(await may(kelvin), false);
  await sponsored('scraper');
  assert.equal(await may(program), false, 'a program answers for nothing');
});

onEachEngine('a set that was published before knows nothing of sponsors and goes on as it is', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { database, policy, commit, clock } = installation;
  const { first } = await world(installation, 'sue');
  const sue = await operator(installation, 'sue');
  const text = defaultPolicyText();
  const rule = /(?:^\/\/.*\n)*@id\("a-sponsor-stops-their-own"\)[^;]*;\n/m;
  assert.match(text, rule);
  const publishing = { reader: database, authorize: policy.authorize, commit, clock, cedar: policy.cedar };
  await publishPolicy(SYSTEM, { text: text.replace(rule, '') }, publishing);
  await policy.fresh();
  const target = { kind: 'agent', name: 'planner' } as const;
  const request = { target, cause: 'policy_change' } as const;
  await assert.rejects(quarantine(sue, request, cordOf(installation)), code('denied'));
  assert.equal((await quarantine(first, request, cordOf(installation))).state, 'quarantined');
});

onEachEngine('the ledger has the sponsor as a salted hash alone, also of what they stop', async ({ open }) => {
  const installation = await createInstallation(await open());
  await world(installation, 'sue@example.com');
  const sue = await operator(installation, 'sue', { email: 'sue@example.com' });
  const target = { kind: 'agent', name: 'planner' } as const;
  await quarantine(sue, { target, cause: 'policy_change' }, cordOf(installation));
  const said = JSON.stringify(await installation.events());
  assert.ok(said.includes('a-sponsor-stops-their-own') && said.includes('sponsor_sha256'));
  assert.ok(!said.includes('sue@example.com'));
});
