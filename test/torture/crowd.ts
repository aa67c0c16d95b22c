import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { isWritError } from '../../src/base/error.ts';
import type { Item } from '../../src/cli/api.ts';
import type { OperatorCredential } from '../../src/cli/credential.ts';
import type { Choices } from '../fuzz/random.ts';
import { writ } from '../program.ts';
import { newAct, perform, type Scene } from './act.ts';
import type { Bearer, Door } from './door.ts';
import { ended, enrol, issue, markRevoked, renew } from './operations.ts';
import { patiently, RECOVERY_MS, type Site } from './site.ts';
import { type Act, endNow, type Held, type Holder, type JoinToken, noEnd, type Registered } from './world.ts';

/** Instances that one of them lets in, and that an operator does. */
const CHILDREN = 4;
const SIBLINGS = 2;

/** Instances that are stopped together. */
export interface Crowd {
  readonly holders: readonly Holder[];
  readonly agent: Registered;
  /** What is stopped: their agent, or the one that let most of them in. */
  readonly target: { readonly kind: 'agent' | 'parent'; readonly name: string };
  /** Records that the answers to its stops named. */
  readonly stops: Set<string>;
}

/** A second operator, one of those who pull the cord, who comes with a certificate like anybody. */
export async function secondOperator({ places }: Site): Promise<Bearer> {
  const out = `${places[0]!.data}-second.json`;
  const how = ['--data', places[0]!.data, '--out', out, '--group', 'security'];
  const { code, stderr } = await writ(['operator', 'add', 'second', ...how]);
  if (code !== 0) throw new Error(`no second operator: ${stderr}`);
  const { key, chain } = JSON.parse(readFileSync(out, 'utf8')) as OperatorCredential;
  return { key: createPrivateKey(key), certificate: chain[0]!, chain: chain.slice(1) };
}

/**
 * Registers an agent of its own, with instances of which one has let in the others. Undefined, and a violation, where the
 * server does not know what it has answered a moment before.
 */
export async function gather(site: Site, scene: Scene, choices: Choices): Promise<Crowd | undefined> {
  try {
    return await gathered(site, scene, choices);
  } catch (error) {
    if (!isWritError(error)) throw error;
    scene.tally.violation('released and lost', `while a crowd gathers: ${error.code}: ${error.message}`);
    return undefined;
  }
}

async function gathered(site: Site, scene: Scene, choices: Choices): Promise<Crowd | undefined> {
  const { world } = scene;
  const [door] = site.doors() as [Door];
  const agent: Registered = { name: `crowd-${++world.agentsMade}`, retire: noEnd() };
  const owner = { team: 'torture', sponsor: 'sponsor@example.com' };
  const body = { name: agent.name, owner, purpose: 'falls together' };
  await patiently(() => door.client('operator').json({ method: 'POST', path: '/v1/agents', body }));
  const kind = choices.pick(['agent', 'parent'] as const);
  const [top] = await letIn(await tokenBy('operator', 1), 1);
  if (top === undefined) return undefined;
  const children = await letIn(await tokenBy(top.held[0]!, CHILDREN), CHILDREN);
  top.below.push(...children);
  const siblings = kind === 'agent' ? await letIn(await tokenBy('operator', SIBLINGS), SIBLINGS) : [];
  return {
    ...{ agent, holders: [top, ...children, ...siblings], stops: new Set() },
    target: { kind, name: kind === 'agent' ? agent.name : top.id },
  };

  /** Not in the world's list, so that nobody else spends it. */
  async function tokenBy(as: Held | 'operator', uses: number): Promise<JoinToken> {
    const client = door.client(as);
    const request = { agent: agent.name, uses, lifetime_seconds: 600 };
    try {
      const made = await patiently(() => client.json<Item>({ method: 'POST', path: '/v1/tokens', body: request }));
      return { id: String(made['id']), text: String(made['token']), agent, uses, asked: 0, letIn: new Set() };
    } finally {
      door.release(client);
    }
  }

  async function letIn(token: JoinToken, count: number): Promise<readonly Holder[]> {
    const acts = await Promise.all(Array.from({ length: count }, () => enrol(world, token)));
    await Promise.all(
      acts.map(async (act) => {
        const until = performance.now() + RECOVERY_MS;
        while ((await perform(act, door, scene)) === 'unknown' && performance.now() < until) await pause(50);
      }),
    );
    return world.holders.filter(({ id }) => token.letIn.has(id));
  }
}

/**
 * Two people stop all of them in the same instant, in which some of them ask for certificates. Gives the two stops;
 * resolves when everybody has an answer or knows that there is none.
 */
export async function stopAtOnce(
  crowd: Crowd,
  second: Bearer,
  site: Site,
  scene: Scene,
  choices: Choices,
): Promise<readonly Act[]> {
  const { world } = scene;
  const modes = choices.pick([
    ['quarantine', 'quarantine'],
    ['revocation', 'revocation'],
    ['quarantine', 'revocation'],
  ] as const);
  const stops = [pull(crowd, modes[0], 'operator', scene), pull(crowd, modes[1], second, scene)];
  const { holders } = crowd;
  const [first, last] = [holders[0]!, holders.at(-1)!];
  const others = [
    issue(world, first),
    issue(world, last),
    renew(world, last.held.at(-1), 'fresh'),
    renew(world, holders[1]?.held.at(-1), 'fresh'),
  ].filter((act) => act !== undefined);
  const acts = [...stops, ...(await Promise.all(others))];
  const send = async (act: Act): Promise<void> => {
    const doors = site.doors();
    if (doors.length > 0) await perform(act, choices.pick(doors), scene);
    else world.unknown.push(act);
  };
  await Promise.all(acts.map(send));
  return stops;
}

function pull(crowd: Crowd, mode: 'quarantine' | 'revocation', as: Act['as'], { world, tally }: Scene): Act {
  const { agent, holders, target, stops } = crowd;
  for (const holder of holders) (mode === 'quarantine' ? holder.hold : holder.stop).asked++;
  return newAct({
    kind: `cord: ${mode} of ${target.kind}`,
    as,
    path: '/v1/stops',
    body: { target, cause: 'policy_change', mode },
    same: (answer) => `${String(answer['id'])} ${String(answer['stopped_at'])}`,
    settle(answer, by) {
      stops.add(String(answer['id']));
      if (stops.size > 1) tally.violation('stopped twice', `${target.kind}: two people were told of two stops`);
      for (const holder of world.holders) {
        if (holder.agent !== agent) continue;
        endNow(mode === 'quarantine' ? holder.hold : holder.stop, by);
        if (mode === 'revocation') for (const held of holder.held) markRevoked(world, held, by);
      }
    },
    explains: (code) => code === 'rate_limited' || ended([holders[0]!.stop], code),
    late: () => undefined,
  });
}
