import { setTimeout as pause } from 'node:timers/promises';
import { isWritError } from '../../src/base/error.ts';
import { type Choices, choices } from '../fuzz/random.ts';
import { DidNotStart, type ProgramOptions, writ } from '../program.ts';
import { perform, type Scene } from './act.ts';
import { checkDatabase, type Highest } from './check.ts';
import { awaitStops } from './check-stops.ts';
import { gather, secondOperator, stopAtOnce } from './crowd.ts';
import { checkInterface } from './interface-check.ts';
import { startLoad } from './load.ts';
import { Monitor } from './monitor.ts';
import { makeToken, registerAgent } from './operations.ts';
import { Points } from './points.ts';
import { RECOVERY_MS, type Site } from './site.ts';
import type { Tally } from './tally.ts';
import { World } from './world.ts';

/** Kills of one installation, after which another begins: what is checked each time grows with it. */
const KILLS = 40;
/** Milliseconds of load before every second kill: from the first answers after a start to a server that is warm. */
const [SHORTEST, LONGEST] = [20, 700];
/** Answers under this load before each of the others, so that slow machines lose something, too. */
const [FEWEST, MOST] = [20, 120];
/** In each so-many-th round the points are killed or cut off, and looked at; in the others they follow. */
const DISTURBED = 3;
/** Milliseconds at most from the stop of a crowd to the kill. */
const IN_THE_MIDST = 40;
/** Milliseconds after which these answers are not waited for any longer. */
const NO_ANSWERS = 5000;
/** Of ten acts with an unknown outcome so many are repeated; the others are given up, as by a client that died, too. */
const REPEATED = 8;

export interface RoundOptions {
  readonly seed: number;
  /** Whether another kill is to be made. */
  readonly more: () => boolean;
  /** How the program and the points are run. */
  readonly program: ProgramOptions;
}

/** One installation from its first start to its last check. False when it could not go on. */
export async function round(site: Site, tally: Tally, { seed, more, program }: RoundOptions): Promise<boolean> {
  const chosen = choices(seed);
  const scene: Scene = { world: new World(), tally };
  const highest: Highest = { epoch: 0, crls: new Map(), effects: 0 };
  const before = tally.kills;
  let points: Points | undefined;
  try {
    await site.begin();
    const monitor = await Monitor.meet(site.doors()[0]!.documents, tally);
    await populate(site, scene);
    points = await Points.open(site, scene, program);
    const second = await secondOperator(site);
    for (let number = 0; tally.kills - before < KILLS && more(); number++) {
      const disturbed = number % DISTURBED === 0;
      const crowd = await gather(site, scene, chosen);
      if (disturbed) await points.welcome(crowd?.holders.flatMap(({ held }) => held) ?? []);
      const load = startLoad(site, scene, monitor, chosen.below(2 ** 26));
      if (tally.kills % 2 === 1) await pause(SHORTEST + chosen.below(LONGEST - SHORTEST));
      else await answers(FEWEST + chosen.below(MOST - FEWEST), tally);
      if (disturbed) await points.disturb(chosen, number === 0);
      const stops = crowd === undefined ? undefined : stopAtOnce(crowd, second, site, scene, chosen);
      await pause(chosen.below(IN_THE_MIDST));
      tally.inFlight += scene.world.flying.size;
      await site.strike(chosen);
      // A replica that is left goes on for a while without the other.
      if (site.doors().length > 0) await pause(chosen.below(300));
      await Promise.all([load.stop(), stops]);
      await site.restore();
      await settle(site, scene, chosen);
      const settled = performance.now();
      if (disturbed) {
        await points.restart();
        await points.mend();
      }
      await checkInterface(chosen.pick(site.doors()), scene, monitor, chosen);
      if (disturbed) await points.check(settled, chosen);
      await awaitStops(site, scene);
      await checkDatabase(site, scene, monitor, { highest, known: points.known() });
    }
    await finish(site, scene);
    return true;
  } catch (error) {
    if (error instanceof DidNotStart) tally.violation('server does not start', error.message);
    else if (isWritError(error)) tally.violation('check not possible', `${error.code}: ${error.message}`);
    else throw error;
    return false;
  } finally {
    count(scene);
    await points?.close();
    await site.end();
  }
}

/** Waits until clients have got so many answers. */
async function answers(count: number, tally: Tally): Promise<void> {
  const enough = tally.releases + count;
  const until = performance.now() + NO_ANSWERS;
  while (tally.releases < enough && performance.now() < until) await pause(1);
}

/** Agents, and tokens to begin with. */
async function populate(site: Site, scene: Scene): Promise<void> {
  const [door] = site.doors();
  for (let i = 0; i < 4; i++) await perform(registerAgent(scene.world), door!, scene);
  for (const agent of scene.world.agents) await perform(makeToken(scene.world, agent, 4), door!, scene);
}

/** Repeats, under the same key, what nobody knows the outcome of, until each is known. */
async function settle(site: Site, scene: Scene, chosen: Choices): Promise<void> {
  const open = scene.world.unknown.filter(({ answer }) => answer === undefined);
  scene.world.unknown = [];
  await Promise.all(
    open.map(async (act) => {
      if (chosen.below(10) >= REPEATED) return;
      const until = performance.now() + RECOVERY_MS;
      while ((await perform(act, chosen.pick(site.doors()), scene)) === 'unknown') {
        if (performance.now() > until)
          return scene.tally.violation('no answer', `${act.kind} is not answered any more`);
        await pause(50);
      }
    }),
  );
  scene.world.unknown = [];
}

/** The servers stop when they are asked to, and `writ ledger verify` agrees with all that the harness found. */
async function finish(site: Site, { tally }: Scene): Promise<void> {
  const verify = ['ledger', 'verify', '--data', site.places[0]!.data];
  for (const when of ['beside the server', 'after its end']) {
    if (when === 'after its end') {
      for (const code of await site.stop()) if (code !== 0) tally.violation('stop', `ended with ${code}`);
    }
    const { code, stdout, stderr } = await writ(verify);
    if (code !== 0) tally.violation('ledger verify', `${when}: exit ${code}: ${(stdout + stderr).slice(-400)}`);
  }
}

function count({ world, tally }: Scene): void {
  tally.certificates += world.releases.size;
  tally.stops += world.revoked.size;
}
