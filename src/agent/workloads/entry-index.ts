import type { Entry } from '../../wire/entry.ts';
import { unmatched } from '../../wire/match-facts.ts';
import type { WorkloadFacts } from '../../wire/workload.ts';

/**
 * The entries of a node, found by what was seen of a process: each stands under the first fact that it asks for whole, so
 * that of ten thousand those few are looked at which could match.
 */
export class EntryIndex {
  readonly entries: readonly Entry[];
  readonly #byFact = new Map<string, Entry[]>();
  /** Those that ask for beginnings alone. */
  readonly #others: Entry[] = [];
  readonly #byId: ReadonlyMap<string, Entry>;

  constructor(entries: readonly Entry[]) {
    this.entries = entries;
    this.#byId = new Map(entries.map((entry) => [entry.id, entry]));
    for (const entry of entries) {
      const whole = entry.match.find((wanted) => !wanted.endsWith('*'));
      if (whole === undefined) this.#others.push(entry);
      else {
        const under = this.#byFact.get(whole);
        if (under === undefined) this.#byFact.set(whole, [entry]);
        else under.push(entry);
      }
    }
  }

  get(id: string): Entry | undefined {
    return this.#byId.get(id);
  }

  /** Those whose every wish holds, the oldest first: the first is the default identity. */
  match(facts: WorkloadFacts): readonly Entry[] {
    const found = [...this.#others];
    for (const [name, values] of Object.entries(facts)) {
      for (const value of values) found.push(...(this.#byFact.get(`${name}=${value}`) ?? []));
    }
    return [...new Set(found)]
      .filter((entry) => unmatched(entry.match, facts).length === 0)
      .sort((a, b) => (a.id < b.id ? -1 : 1));
  }
}
