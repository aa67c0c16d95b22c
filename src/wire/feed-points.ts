/** Names that an enforcement point chooses for itself. */
export const POINT: RegExp = /^[A-Za-z0-9._:-]{1,64}$/;

/** Names that a relay gives to the points behind it: who they are, and how it came to know of them. Nothing to be escaped. */
export const POINT_BEHIND: RegExp = /^[\x20\x21\x23-\x5b\x5d-\x7e]{1,400}$/;

/** Of a point with the way to it: a hundred of them fit into one entry of the ledger beside all else. */
const LONGEST = 400;

/** Points behind one relay. */
export const MOST_BEHIND = 1024;

/** An enforcement point among all callers: nobody has one of somebody else's. */
export function pointOf(caller: string, point: string): string {
  return `${caller}#${point}`;
}

/** A point behind another one, as it stands in records: who it is, and whose word that is. */
export function pointBehind(relay: string, name: string): string {
  return `${name} via ${relay}`;
}

interface Reading {
  streams: number;
  behind: ReadonlySet<string>;
}

const NOBODY: ReadonlySet<string> = new Set();

/** The points that read from one place, and those that read from them where they are relays. */
export class PointRegister {
  readonly #points = new Map<string, Reading>();
  readonly #most: number;
  #behind = 0;

  /** `most`: points behind others that are kept in mind. */
  constructor(most: number) {
    this.#most = most;
  }

  has(point: string): boolean {
    return this.#points.has(point);
  }

  /** A stream of this point was opened. */
  enter(point: string): void {
    const known = this.#points.get(point);
    if (known === undefined) this.#points.set(point, { streams: 1, behind: NOBODY });
    else known.streams += 1;
  }

  /** A stream of this point has ended; with its last one those behind it are forgotten. */
  leave(point: string): void {
    const known = this.#points.get(point);
    if (known === undefined || --known.streams > 0) return;
    this.#behind -= known.behind.size;
    this.#points.delete(point);
  }

  /**
   * Takes who reads from a point, all of them but those whose names have become too long on their way. False, and nothing
   * is kept, of a point that is not here or beyond the bound.
   */
  setBehind(point: string, names: readonly string[]): boolean {
    const known = this.#points.get(point);
    const behind = new Set(names.filter((name) => pointBehind(point, name).length <= LONGEST));
    if (known === undefined || this.#behind - known.behind.size + behind.size > this.#most) return false;
    this.#behind += behind.size - known.behind.size;
    known.behind = behind;
    return true;
  }

  *names(): Generator<string, void> {
    for (const [point, { behind }] of this.#points) {
      yield point;
      for (const name of behind) yield pointBehind(point, name);
    }
  }
}
