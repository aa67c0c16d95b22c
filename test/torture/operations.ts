import type { ErrorCode } from '../../src/base/error.ts';
import type { Item } from '../../src/cli/api.ts';
import type { Choices } from '../fuzz/random.ts';
import { newAct } from './act.ts';
import type { Door } from './door.ts';
import {
  type Act,
  derOf,
  digestOf,
  type End,
  endNow,
  type Held,
  type Holder,
  type JoinToken,
  type Late,
  lateFor,
  latest,
  newRequest,
  noEnd,
  type Registered,
  type Request,
  type Sending,
  type World,
} from './world.ts';

/** Acts that are sent together: most of the time one. */
export type Plan = readonly Act[];

interface Planned {
  readonly weight: number;
  /** Undefined when there is nothing to do it with. */
  plan(world: World, choices: Choices): Promise<Plan | undefined> | Plan | undefined;
}

/** How many instances are kept living, more or less. */
const POPULATION = 40;
/** With fewer than these nobody pulls the cord. */
const FEW = 10;

const OPERATIONS: readonly Planned[] = [
  { weight: 26, plan: (world, choices) => one(issue(world, anyHolder(world, choices))) },
  { weight: 20, plan: (world, choices) => one(renew(world, anyHeld(world, choices), 'fresh')) },
  { weight: 5, plan: (world, choices) => one(renew(world, anyHeld(world, choices), 'same')) },
  { weight: 5, plan: (world, choices) => one(replace(world, anyHeld(world, choices), 'itself')) },
  { weight: 5, plan: (world, choices) => one(replace(world, anyHeld(world, choices), 'operator')) },
  { weight: 10, plan: (world, choices) => [makeToken(world, anyAgent(world, choices), 1)] },
  { weight: 4, plan: (world, choices) => [makeToken(world, anyAgent(world, choices), 2 + choices.below(4))] },
  { weight: 16, plan: (world, choices) => spend(world, choices) },
  { weight: 5, plan: (world, choices) => revoke(world, anyHeld(world, choices)) },
  { weight: 3, plan: (world, choices) => stopInstance(world, crowded(world) ? anyHolder(world, choices) : undefined) },
  {
    weight: 1,
    plan: (world, choices) =>
      pullCord(world, world.living().length > FEW ? anyHolder(world, choices) : undefined, choices),
  },
  { weight: 1, plan: (world, choices) => retire(world, choices) },
];

/** Each as often as it weighs. */
const WEIGHTED = OPERATIONS.flatMap((operation) => Array<Planned>(operation.weight).fill(operation));

/** The next thing that somebody does. */
export async function nextPlan(world: World, choices: Choices): Promise<Plan> {
  for (;;) {
    const plan = await WEIGHTED[choices.below(WEIGHTED.length)]!.plan(world, choices);
    if (plan !== undefined && plan.length > 0) return plan;
    if (world.agents.every(({ retire: { asked } }) => asked)) return [registerAgent(world)];
  }
}

async function one(act: Promise<Act> | undefined): Promise<Plan | undefined> {
  return act === undefined ? undefined : [await act];
}

function anyHolder(world: World, choices: Choices): Holder | undefined {
  const living = world.living();
  return living.length === 0 ? undefined : choices.pick(living);
}

/** One of the newest certificates of an instance, now and then one that is revoked already. */
function anyHeld(world: World, choices: Choices): Held | undefined {
  const holder = anyHolder(world, choices);
  if (holder === undefined || holder.held.length === 0) return undefined;
  const held = choices.pick(holder.held.slice(-4));
  return held.revoke.asked && choices.below(8) > 0 ? undefined : held;
}

function anyAgent(world: World, choices: Choices): Registered {
  const active = world.agents.filter(({ retire: end }) => !end.asked);
  return choices.pick(active.length === 0 ? world.agents : active);
}

function crowded(world: World): boolean {
  return world.living().length > POPULATION;
}

export function registerAgent(world: World): Act {
  const agent: Registered = { name: `agent-${++world.agentsMade}`, retire: noEnd() };
  const owner = { team: 'torture', sponsor: 'sponsor@example.com' };
  return newAct({
    kind: 'register',
    as: 'operator',
    path: '/v1/agents',
    body: { name: agent.name, owner, purpose: 'endures' },
    same: (answer) => `${String(answer['name'])} ${String(answer['created_at'])}`,
    settle: () => world.agents.push(agent),
    explains: () => false,
    late: () => undefined,
  });
}

export function makeToken(world: World, agent: Registered, uses: number): Act {
  return newAct({
    kind: 'token',
    as: 'operator',
    path: '/v1/tokens',
    body: { agent: agent.name, uses, lifetime_seconds: 3600 },
    same: (answer) => `${String(answer['id'])} ${digestOf(String(answer['token']))}`,
    settle(answer) {
      const [id, text] = [String(answer['id']), String(answer['token'])];
      world.tokens.push({ id, text, agent, uses, asked: 0, letIn: new Set() });
    },
    explains: (code) => ended([agent.retire], code),
    late: (sending) => retiredFor(agent, sending),
  });
}

/** Uses up a token: alone, or with more takers at once than it has uses, from whom it must choose. */
async function spend(world: World, choices: Choices): Promise<Plan | undefined> {
  const open = world.tokens.filter(({ asked, uses, agent }) => asked < uses && !agent.retire.asked);
  if (open.length === 0) return undefined;
  const token = choices.pick(open);
  const left = token.uses - token.asked;
  const takers = choices.below(3) === 0 ? left + 1 + choices.below(2) : 1;
  return Promise.all(Array.from({ length: takers }, () => enrol(world, token)));
}

export async function enrol(world: World, token: JoinToken): Promise<Act> {
  const request = await newRequest();
  token.asked++;
  const { agent } = token;
  let made: Holder | undefined;
  return certify(world, request, {
    kind: 'enrol',
    as: 'nobody',
    path: '/v1/enrol',
    body: { token: token.text, csr: request.csr },
    holderOf(answer) {
      const id = String(answer['instance']);
      const holder: Holder = { id, agent, held: [], below: [], stop: noEnd(), hold: noEnd() };
      token.letIn.add(id);
      world.holders.push(holder);
      made = holder;
      return holder;
    },
    // Two at once for one use: somebody comes too late.
    // A repeat finds the instance that it made stopped.
    explains: (code) =>
      ended([agent.retire, ...(made === undefined ? [] : [made.stop, made.hold])], code) ||
      (code === 'token_refused' && token.asked > token.uses),
    late: (sending) => retiredFor(agent, sending),
  });
}

export function issue(world: World, holder: Holder | undefined): Promise<Act> | undefined {
  if (holder === undefined) return undefined;
  return newRequest().then((request) =>
    certify(world, request, {
      kind: 'issue',
      as: 'operator',
      path: '/v1/certificates',
      body: { instance: holder.id, csr: request.csr },
      holderOf: () => holder,
      explains: (code) => ended([holder.stop, holder.hold, holder.agent.retire], code),
      late: (sending) => stoppedFor(holder, sending),
    }),
  );
}

export function renew(world: World, held: Held | undefined, key: 'fresh' | 'same'): Promise<Act> | undefined {
  if (held === undefined) return undefined;
  return newRequest(key === 'same' ? held.key : undefined).then((request) =>
    certify(
      world,
      request,
      {
        kind: `renew with ${key} key`,
        as: held,
        path: '/v1/certificates/renew',
        body: { csr: request.csr },
        holderOf: () => held.holder,
        explains: (code) => endedCaller(held, code) || (key === 'same' && blocked(held, code)),
        late: (sending) => revokedFor(held, sending),
      },
      key === 'fresh',
    ),
  );
}

function replace(world: World, held: Held | undefined, by: 'itself' | 'operator'): Promise<Act> | undefined {
  if (held === undefined) return undefined;
  held.revoke.asked++;
  const { holder } = held;
  let made: Held | undefined;
  return newRequest().then((request) =>
    certify(world, request, {
      kind: `replace by ${by}`,
      as: by === 'itself' ? held : 'operator',
      path: '/v1/certificates/replace',
      body: { csr: request.csr, ...(by === 'itself' ? {} : { serial: held.serial }) },
      holderOf(_, by) {
        markRevoked(world, held, by);
        return holder;
      },
      took(successor) {
        made = successor;
      },
      // A repeat gets the first answer, whatever that act ended; who replaced what it presents, while the answer holds.
      explains: (code) =>
        endedOtherwise(held, code) || (by === 'itself' && made !== undefined && ended([made.revoke], code)),
      late(sending) {
        if (!sending.again) return revokedFor(held, sending);
        return by === 'itself' && made !== undefined ? revokedFor(made, sending) : stoppedFor(holder, sending);
      },
    }),
  );
}

function revoke(world: World, held: Held | undefined): Plan | undefined {
  if (held === undefined) return undefined;
  held.revoke.asked++;
  return [
    newAct({
      kind: 'revoke',
      as: 'operator',
      path: `/v1/certificates/${held.serial}/revoke`,
      body: { cause: 'key_theft' },
      same: (answer) => `${String(answer['serial'])} ${String(answer['status'])} ${String(answer['revoked_at'])}`,
      settle: (_, by) => markRevoked(world, held, by),
      explains: () => false,
      late: () => undefined,
    }),
  ];
}

function stopInstance(world: World, holder: Holder | undefined): Plan | undefined {
  if (holder === undefined) return undefined;
  for (const one of [holder, ...holder.below]) one.stop.asked++;
  return [
    newAct({
      kind: 'stop',
      as: 'operator',
      path: `/v1/instances/${holder.id}/stop`,
      body: { cause: 'clone_detected' },
      same: (answer) => `${String(answer['id'])} ${String(answer['status'])} ${String(answer['stopped_at'])}`,
      settle(_, by) {
        endNow(holder.stop, by);
        for (const held of holder.held) markRevoked(world, held, by);
      },
      explains: () => false,
      late: () => undefined,
    }),
  ];
}

/** The cord, by two people at once: holds an instance, or stops it for ever, or first the one and then the other. */
function pullCord(world: World, holder: Holder | undefined, choices: Choices): Plan | undefined {
  if (holder === undefined) return undefined;
  const pull = (mode: 'quarantine' | 'revocation'): Act => {
    const endOf = (one: Holder): End => (mode === 'quarantine' ? one.hold : one.stop);
    for (const one of [holder, ...holder.below]) endOf(one).asked++;
    return newAct({
      kind: `cord: ${mode}`,
      as: 'operator',
      path: '/v1/stops',
      body: { target: { kind: 'instance', name: holder.id }, cause: 'policy_change', mode },
      same: (answer) => `${String(answer['id'])} ${String(answer['stopped_at'])}`,
      settle(_, by) {
        endNow(endOf(holder), by);
        if (mode === 'revocation') for (const held of holder.held) markRevoked(world, held, by);
      },
      // What was stopped for ever there is nothing left to hold of, and some pull too often.
      explains: (code) => code === 'rate_limited' || ended([holder.stop, holder.agent.retire], code),
      late: () => undefined,
    });
  };
  const modes = choices.pick([
    ['quarantine', 'quarantine'],
    ['revocation', 'revocation'],
    ['quarantine', 'revocation'],
  ] as const);
  return modes.map(pull);
}

/** Stops an agent with all its instances, and registers another in its place. */
function retire(world: World, choices: Choices): Plan | undefined {
  const active = world.agents.filter(({ retire: end }) => !end.asked);
  if (active.length < 3) return [registerAgent(world)];
  const agent = choices.pick(active);
  agent.retire.asked++;
  return [
    newAct({
      kind: 'retire',
      as: 'operator',
      path: `/v1/agents/${agent.name}/retire`,
      body: { cause: 'decommissioned' },
      same: (answer) => `${String(answer['name'])} ${String(answer['status'])}`,
      settle(_, by) {
        endNow(agent.retire, by);
        for (const { agent: of, held } of world.holders) {
          if (of === agent) for (const one of held) markRevoked(world, one, by);
        }
      },
      explains: () => false,
      late: () => undefined,
    }),
    registerAgent(world),
  ];
}

interface Certifying extends Pick<Act, 'kind' | 'as' | 'path' | 'body' | 'explains' | 'late'> {
  readonly holderOf: (answer: Item, by: Door) => Holder;
  readonly took?: (held: Held) => void;
}

/** An act whose answer is a certificate. `fresh`: no other act asks one for this key. */
function certify(world: World, request: Request, how: Certifying, fresh = true): Act {
  const { holderOf, took, ...act } = how;
  const made = newAct({
    ...act,
    same: (answer) => `${String(answer['serial'])} ${digestOf(String(answer['certificate']))}`,
    settle(answer, by) {
      const serial = String(answer['serial']);
      const certificate = String(answer['certificate']);
      const holder = holderOf(answer, by);
      const chain = answer['chain'] as readonly string[];
      const held: Held = { serial, holder, key: request.key, certificate, chain, revoke: noEnd() };
      holder.held.push(held);
      took?.(held);
      // Answers overtake one another: what was committed before its holder was stopped ended with it.
      if (holder.stop.since !== undefined || holder.agent.retire.since !== undefined) markRevoked(world, held, by);
      const der = derOf(certificate);
      world.releases.set(serial, { serial, index: Number(answer['ledger_index']), der, proven: false });
    },
  });
  if (fresh) world.byKey.set(request.spki, made);
  else world.byKey.delete(request.spki);
  return made;
}

export function markRevoked(world: World, held: Held, by: Door): void {
  endNow(held.revoke, by);
  if (!world.revoked.has(held.serial)) world.ended.push(held);
  world.revoked.add(held.serial);
}

/** Refusals that an end explains, also one that was asked for and not answered yet. */
export function ended(ends: readonly End[], code: ErrorCode): boolean {
  return ends.some(({ asked }) => asked) && (code === 'revoked' || code === 'inactive' || code === 'conflict');
}

function endedCaller(held: Held, code: ErrorCode): boolean {
  return ended([held.revoke, held.holder.stop, held.holder.hold, held.holder.agent.retire], code);
}

/** As `endedCaller`, without what the act that asks did itself. */
function endedOtherwise(held: Held, code: ErrorCode): boolean {
  return held.revoke.asked > 1
    ? endedCaller(held, code)
    : ended([held.holder.stop, held.holder.hold, held.holder.agent.retire], code);
}

/** A key whose certificate was revoked is blocked, for its former holder, too. */
function blocked({ holder }: Held, code: ErrorCode): boolean {
  return code === 'key_in_use' && holder.held.some(({ revoke: { asked } }) => asked);
}

function retiredFor(agent: Registered, sending: Sending): Late | undefined {
  return lateFor('the agent was retired', agent.retire, sending);
}

function stoppedFor({ stop, hold, agent }: Holder, sending: Sending): Late | undefined {
  return latest(
    lateFor('the instance was stopped', stop, sending),
    lateFor('the instance was quarantined', hold, sending),
    retiredFor(agent, sending),
  );
}

function revokedFor({ revoke: end, holder }: Held, sending: Sending): Late | undefined {
  return latest(lateFor('the certificate was revoked', end, sending), stoppedFor(holder, sending));
}
