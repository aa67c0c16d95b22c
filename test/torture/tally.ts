import type { Late } from './world.ts';

/** What a run of the torture counts, and what it holds against Writ. */
export class Tally {
  kills = 0;
  /** Answers that a client got: certificates, tokens, revocations. */
  releases = 0;
  /** Certificates among them. */
  certificates = 0;
  /** Stopped certificates, instances and agents among them. */
  stops = 0;
  /** Writes that were under way at the instant of a kill. */
  inFlight = 0;
  /** Requests repeated under the same key, after a kill or without one. */
  repeats = 0;
  receipts = 0;
  /** Consistency proofs between two checkpoints, made by the client from public tiles. */
  proofs = 0;
  /** Enforcement points killed, and cut off. */
  pointKills = 0;
  cuts = 0;
  /** Certificates without force that were shown to points, and connections of theirs that were closed. */
  presented = 0;
  closed = 0;
  /** Acknowledgements of points that are on record. */
  effects = 0;
  violations = 0;
  /** Milliseconds of each start of an installation that was there already. */
  readonly starts: number[] = [];
  /** Milliseconds, of each answer that was as if something had not ended, in the time allowed for that. */
  readonly lates: number[] = [];
  readonly #seen = new Map<string, number>();
  readonly #print: (line: string) => void;

  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  /** Something that may never be. Each kind is printed a few times and counted always. */
  violation(kind: string, detail: string): void {
    this.violations++;
    const times = (this.#seen.get(kind) ?? 0) + 1;
    this.#seen.set(kind, times);
    if (times <= MOST_PRINTED) {
      this.#print(`violation after ${this.kills} kills: ${kind}: ${detail.replaceAll(/\s+/g, ' ')}`);
    }
  }

  /** An answer that perhaps came after an end. */
  late(kind: string, late: Late | undefined): void {
    if (late === undefined) return;
    if (late.after >= late.allowed) {
      this.violation('answer that may not be', `${kind}: ${late.what} ${Math.round(late.after)} ms before`);
    } else this.lates.push(late.after);
  }

  /** Kinds of violations with how often each was found. */
  kinds(): string {
    return [...this.#seen].map(([kind, times]) => `${kind} ${times}`).join(', ');
  }
}

const MOST_PRINTED = 5;
