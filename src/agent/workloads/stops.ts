import { isPassing, pauseOf } from '../failure.ts';
import type { NodeServer } from '../server.ts';

/** How long an instance that the server could not be told of waits for another try. */
const AGAIN_MS = 2500;

/** Instances that have ended here and that the server has to be told of: at once, or when it can be reached. */
export class Stops {
  readonly #server: Pick<NodeServer, 'stop'>;
  readonly #turn: <T>(run: () => Promise<T>) => Promise<T>;
  /** `at`: when it is tried next, by the steady clock. */
  readonly #waiting = new Map<string, { readonly cause: string; at: number }>();

  constructor(server: Pick<NodeServer, 'stop'>, turn: <T>(run: () => Promise<T>) => Promise<T>) {
    this.#server = server;
    this.#turn = turn;
  }

  add(instance: string, cause: string): void {
    this.#waiting.set(instance, { cause, at: 0 });
  }

  /** To be called every now and then. */
  send(): void {
    const now = performance.now();
    for (const [instance, stop] of this.#waiting) {
      if (stop.at > now) continue;
      stop.at = Number.POSITIVE_INFINITY;
      this.#turn(() => this.#server.stop(instance, stop.cause)).then(
        () => this.#waiting.delete(instance),
        (error: unknown) => {
          if (isPassing(error)) stop.at = performance.now() + pauseOf(error, AGAIN_MS, Math.random);
          else this.#waiting.delete(instance);
        },
      );
    }
  }
}
