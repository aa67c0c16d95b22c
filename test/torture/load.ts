import { setTimeout as pause } from 'node:timers/promises';
import { isWritError } from '../../src/base/error.ts';
import { type Choices, choices } from '../fuzz/random.ts';
import { perform, type Scene } from './act.ts';
import type { Monitor } from './monitor.ts';
import { nextPlan } from './operations.ts';
import type { Site } from './site.ts';
import { present } from './standing.ts';
import type { Act } from './world.ts';

/** Clients that work at once. */
const WORKERS = 12;
/** Of so many plans one is sent twice at once, one is followed by a repeat of something older, one by a look at standing. */
const TWICE = 12;
const AGAIN = 10;
const LOOK = 6;

export interface Load {
  /** Lets every client finish the request that it is at, and answers when all have. */
  stop(): Promise<void>;
}

/** Clients that do one thing after another, chosen by the seed, at whichever server is there; and a monitor of the log. */
export function startLoad(site: Site, scene: Scene, monitor: Monitor, seed: number): Load {
  let stopped = false;
  const work = async (number: number): Promise<void> => {
    const chosen = choices(seed * 64 + number);
    while (!stopped) {
      if (site.doors().length === 0) await pause(5);
      else await step(site, scene, chosen);
    }
  };
  const watch = async (): Promise<void> => {
    while (!stopped) {
      await lookIfPossible(site, monitor);
      await pause(40);
    }
  };
  const all = Promise.all([...Array.from({ length: WORKERS }, (_, number) => work(number)), watch()]);
  // Awaited by `stop`; until then a failure must not count as unhandled.
  all.catch(() => undefined);
  return {
    async stop() {
      stopped = true;
      await all;
    },
  };
}

async function step(site: Site, scene: Scene, chosen: Choices): Promise<void> {
  const plan = await nextPlan(scene.world, chosen);
  const twice = chosen.below(TWICE) === 0;
  const outcomes = await Promise.all([...plan, ...(twice ? plan : [])].map((act) => at(site, scene, act, chosen)));
  if (chosen.below(AGAIN) === 0 && scene.world.answered.length > 0) {
    await at(site, scene, chosen.pick(scene.world.answered.slice(-200)), chosen);
  }
  const ended = scene.world.ended.slice(-4);
  const doors = site.doors();
  if (chosen.below(LOOK) === 0 && ended.length > 0 && doors.length > 0) {
    await present(chosen.pick(ended), chosen.pick(doors), scene.tally);
  }
  // Where nothing can be done, trying faster does not help.
  if (outcomes.every((outcome) => outcome === 'unknown' || outcome === 'broken')) await pause(20);
}

async function at(site: Site, scene: Scene, act: Act, chosen: Choices): Promise<string> {
  const doors = site.doors();
  return doors.length === 0 ? 'unknown' : perform(act, chosen.pick(doors), scene);
}

async function lookIfPossible(site: Site, monitor: Monitor): Promise<void> {
  const [door] = site.doors();
  if (door === undefined) return;
  try {
    await monitor.look(door.documents);
  } catch (error) {
    // The server went away, or its database.
    if (!isWritError(error, 'unavailable') && !isWritError(error, 'storage_failed')) throw error;
  }
}
