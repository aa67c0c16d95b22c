/** An enforcement point of one thread, and how far it has come. */
export interface KnownPoint {
  readonly name: string;
  /** It is expected to acknowledge acts from this one on; acts are numbered by their first position. */
  from: number;
  /** It was away when acts from `gone` up to `back` were told. Both infinite while it never was. */
  gone: number;
  back: number;
  /** Everything up to this position is acknowledged. */
  acknowledged: number;
}

/**
 * Which points were connected when which acts were told, and up to where each has acknowledged: one record a point, however
 * many acts are measured at once.
 */
export class FeedPoints {
  readonly #known = new Map<string, KnownPoint>();

  /** Says who is connected when an act is told. Gives how many they are. */
  told(act: number, connected: Iterable<string>): number {
    const here = new Set<string>();
    for (const name of connected) {
      here.add(name);
      const point = this.#known.get(name);
      if (point === undefined) {
        this.#known.set(name, { name, from: act, gone: NEVER, back: NEVER, acknowledged: 0 });
      } else if (point.gone !== NEVER && point.back === NEVER) point.back = act;
    }
    for (const point of this.#known.values()) {
      if (here.has(point.name) || (point.gone !== NEVER && point.back === NEVER)) continue;
      // Of two absences the one before is longer ago than any act that is still measured, or as good as that.
      if (point.back !== NEVER) point.from = point.back;
      point.gone = act;
      point.back = NEVER;
    }
    return here.size;
  }

  get(name: string): KnownPoint | undefined {
    return this.#known.get(name);
  }

  /** Those that have not acknowledged a position. */
  behind(position: number): KnownPoint[] {
    return [...this.#known.values()].filter(({ acknowledged }) => acknowledged < position);
  }

  /** Forgets who left before any act that is still measured; `oldest` is the first of those. */
  forget(oldest: number): void {
    for (const { name, gone, back } of this.#known.values()) {
      if (gone !== NEVER && gone <= oldest && back === NEVER) this.#known.delete(name);
    }
  }
}

const NEVER = Number.POSITIVE_INFINITY;

/** Whether a point was connected when an act was told. */
export function isExpected({ from, gone, back }: KnownPoint, act: number): boolean {
  return act >= from && (act < gone || act >= back);
}
