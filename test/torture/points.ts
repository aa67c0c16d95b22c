import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import { isWritError } from '../../src/base/error.ts';
import { connect } from '../../src/sdk/enrolment/connect.ts';
import type { Choices } from '../fuzz/random.ts';
import type { ProgramOptions } from '../program.ts';
import type { Scene } from './act.ts';
import type { Bearer } from './door.ts';
import { CUTS, Forwarder } from './forwarder.ts';
import { Point, type PointMode } from './point.ts';
import { removeScratch, scratchFolder } from './scratch.ts';
import { inTurns, some } from './several.ts';
import { RECOVERY_MS, readOperator, type Site } from './site.ts';
import type { Held, World } from './world.ts';

/** After so long without a word of the feed, `strict` refuses everybody. */
const STRICT_MS = 2000;
/** How long the end of a connection may be on its way on a busy machine. */
const CLOSE_MS = 5000;
/** How many certificates of each kind are presented to each point. */
const PRESENTED = 6;

interface Place {
  readonly mode: PointMode;
  readonly store: string;
  readonly forwarder: Forwarder;
  /** Undefined while it is killed. */
  point: Point | undefined;
  /** `performance.now` of when it was cut off. */
  cutAt: number | undefined;
  /** Connections that were served, and whose they are. */
  readonly open: Map<TLSSocket, Held>;
}

/**
 * Two enforcement points, one of each mode, each behind a cable of its own: they are killed and cut off while things are
 * stopped, and once they are connected again nothing that was acknowledged as revoked or held is served by them.
 */
export class Points {
  readonly #folder: string = scratchFolder('writ-points-');
  readonly #options: ProgramOptions;
  readonly #scene: Scene;
  readonly #roots: readonly string[];
  readonly #places: Place[] = [];

  /** Enrols and starts them. */
  static async open(site: Site, scene: Scene, options: ProgramOptions): Promise<Points> {
    const points = new Points(site, scene, options);
    try {
      await points.#open(site);
      return points;
    } catch (error) {
      await points.close();
      throw error;
    }
  }

  async #open(site: Site): Promise<void> {
    const operator = site.doors()[0]!.client('operator');
    const owner = { team: 'torture', sponsor: 'sponsor@example.com' };
    await operator.json({ method: 'POST', path: '/v1/agents', body: { name: 'points', owner, purpose: 'enforces' } });
    for (const mode of ['strict', 'available'] as const) {
      const made = { method: 'POST', path: '/v1/tokens', body: { agent: 'points' } } as const;
      const store = join(this.#folder, mode);
      // Whether what was answered is there at once, others look at.
      const { token } = await eventually(() => operator.json<{ token: string }>(made));
      (await eventually(() => connect({ token, store }))).close();
      // Whoever is nearest by, and the other one when that is away.
      const forwarder = await Forwarder.open(() => {
        const doors = site.doors();
        return (mode === 'strict' ? doors[0] : doors.at(-1))?.server.api;
      });
      const file = join(store, 'identity.json');
      const kept = JSON.parse(readFileSync(file, 'utf8')) as { home: object };
      writeFileSync(file, JSON.stringify({ ...kept, home: { ...kept.home, server: forwarder.url } }));
      this.#places.push({ mode, store, forwarder, point: undefined, cutAt: undefined, open: new Map() });
    }
    await this.restart();
  }

  private constructor(site: Site, scene: Scene, options: ProgramOptions) {
    this.#options = options;
    this.#scene = scene;
    this.#roots = readOperator(site.places[0]!.data).roots;
  }

  /** Starts those that were killed. */
  async restart(): Promise<void> {
    await Promise.all(
      this.#places.map(async (place) => {
        const { mode, store } = place;
        const settings = { mode, store, strictMs: STRICT_MS };
        place.point ??= await Point.start(settings, this.#options, this.#scene.tally);
      }),
    );
  }

  /** Has these connect to both, and stay. All of them must be served. */
  async welcome(guests: readonly Held[]): Promise<void> {
    for (const { mode, point, open } of this.#places) {
      if (point === undefined) continue;
      await inTurns(guests, async (guest) => {
        const socket = await persevere(() => point.connect(guest, this.#roots));
        if (socket === undefined) this.#violation('valid certificate refused', mode, guest.serial);
        else open.set(socket, guest);
      });
    }
  }

  /** Kills or cuts off one or both of them; at first it is always `strict` that is cut off. */
  async disturb(choices: Choices, first: boolean): Promise<void> {
    const [strict, available] = this.#places as [Place, Place];
    const cut = (place: Place): void => {
      place.cutAt = performance.now();
      place.forwarder.cut(choices.pick(CUTS));
      this.#scene.tally.cuts++;
    };
    const kill = async (place: Place): Promise<void> => {
      const { point } = place;
      place.point = undefined;
      for (const socket of place.open.keys()) socket.destroy();
      place.open.clear();
      await point?.kill();
      this.#scene.tally.pointKills++;
    };
    switch (first ? 0 : choices.below(4)) {
      case 0:
        return cut(strict);
      case 1:
        cut(strict);
        return kill(available);
      case 2:
        cut(available);
        return kill(strict);
      default:
        cut(strict);
        return cut(available);
    }
  }

  /** Whoever is cut off behaves as its mode says. Then the cables are whole again. */
  async mend(): Promise<void> {
    const { world } = this.#scene;
    for (const place of this.#places) {
      const { mode, point, cutAt } = place;
      if (cutAt === undefined || point === undefined) continue;
      await pause(Math.max(0, cutAt + STRICT_MS + 500 - performance.now()));
      const [held] = living(world).slice(-1);
      const { well, alarms } = await point.state();
      if (well || alarms === 0) this.#violation('cut off and well', mode, `${alarms} alarms`);
      if (held !== undefined) {
        const answer = await point.serve(held, this.#roots);
        if (answer !== (mode === 'strict' ? 'refused' : 'served')) this.#violation('cut off', mode, answer);
      }
    }
    for (const place of this.#places) {
      if (place.cutAt !== undefined) place.forwarder.mend();
      place.cutAt = undefined;
    }
  }

  /**
   * Waits until each knows all that was committed before `since` (`performance.now`), and then holds each against the
   * world: what ended is refused, also on connections that were open, and what lives is served.
   */
  async check(since: number, choices: Choices): Promise<void> {
    await Promise.all(this.#places.map((place) => this.#check(place, since, choices)));
  }

  /** Positions of entries that each knows, by the mode. */
  known(): ReadonlyMap<PointMode, ReadonlySet<number>> {
    return new Map(this.#places.flatMap(({ mode, point }) => (point === undefined ? [] : [[mode, point.entries]])));
  }

  async close(): Promise<void> {
    for (const { point, forwarder, open } of this.#places) {
      for (const socket of open.keys()) socket.destroy();
      await point?.kill();
      forwarder.close();
    }
    removeScratch(this.#folder);
  }

  async #check({ mode, point, open }: Place, since: number, choices: Choices): Promise<void> {
    const { world, tally } = this.#scene;
    if (point === undefined) return;
    const late = await this.#caughtUp(point, since);
    if (late !== undefined) return this.#violation('point does not catch up', mode, late);
    const serve = (held: Bearer): Promise<string> => point.serve(held, this.#roots);
    for (const [kind, list] of [
      ['revoked', world.ended],
      ['held', held(world)],
    ] as const) {
      const chosen = new Set([...list.slice(-PRESENTED), ...some(list, PRESENTED, choices)]);
      await inTurns([...chosen], async (one) => {
        tally.presented++;
        if ((await serve(one)) !== 'refused') this.#violation('served what is over', mode, `${kind} ${one.serial}`);
      });
    }
    const alive = living(world);
    await inTurns(some(alive, 2, choices), async (one) => {
      const served = await persevere(async () => ((await serve(one)) === 'served' ? true : undefined));
      if (served === undefined) this.#violation('valid certificate refused', mode, one.serial);
    });
    for (const [socket, guest] of open) {
      const over = guest.revoke.since !== undefined || guest.holder.hold.since !== undefined;
      if (!over && !socket.closed) continue;
      // It was closed at the other end before this point said that it had caught up; this end may hear of it later.
      if (!socket.closed) await Promise.race([once(socket, 'close'), pause(CLOSE_MS)]);
      if (!socket.closed) this.#violation('connection left open', mode, guest.serial);
      if (over) tally.closed++;
      socket.destroy();
      open.delete(socket);
    }
  }

  /** Says how far it has come when that is not far enough within a minute. */
  async #caughtUp(point: Point, since: number): Promise<string | undefined> {
    for (const until = performance.now() + RECOVERY_MS; ; await pause(50)) {
      const asked = performance.now();
      const { age, well, wentBack, cause } = await point.state();
      if (wentBack > 0) this.#violation('gone back', 'feed', `${wentBack} entries`);
      if (well && asked - age > since) return undefined;
      if (asked > until) return `what it knows is ${Math.round(age)} ms old: ${cause ?? 'connected'}`;
    }
  }

  #violation(kind: string, mode: string, detail: string): void {
    this.#scene.tally.violation(kind, `${mode}: ${detail}`);
  }
}

/** Certificates of which nobody has asked that they end. */
function living(world: World): Held[] {
  return world.living().flatMap((holder) => holder.held.filter(({ revoke }) => revoke.asked === 0));
}

/** Certificates of instances that are quarantined. */
function held(world: World): Held[] {
  return world.holders.flatMap((holder) => (holder.hold.since === undefined ? [] : holder.held));
}

/** Tries again for a moment. */
async function eventually<T>(act: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await act();
    } catch (error) {
      if (!isWritError(error) || tries === 20) throw error;
    }
    await pause(100);
  }
}

/** Asks again for a while: a busy machine makes a feed seem old for a moment. */
async function persevere<T>(ask: () => Promise<T | undefined>): Promise<T | undefined> {
  for (const until = performance.now() + RECOVERY_MS / 2; performance.now() < until; await pause(100)) {
    const answer = await ask();
    if (answer !== undefined) return answer;
  }
  return undefined;
}
