import type { Runtime } from '../../wire/runtime.ts';
import { runtimeFacts, withoutAgentFacts } from '../../wire/runtime-facts.ts';
import type { WorkloadFacts } from '../../wire/workload.ts';
import { collectFacts, type Whole } from '../collect/collect.ts';
import type { Collector } from '../collect/collector.ts';
import type { ProgramFiles } from '../process/program-files.ts';
import type { CallerProcess, ProcessTable } from '../process/table.ts';
import type { Child } from './child.ts';

/** What is known of a process that has called. */
export interface Known {
  readonly process: CallerProcess;
  seen: Whole | undefined;
  collecting: Promise<Whole | undefined> | undefined;
  /** What its runtime says of the agent. Undefined: it has said nothing yet. */
  runtime: Runtime | undefined;
  /** By entry. */
  readonly children: Map<string, Child>;
  /** By entry: why there is none; `until` in milliseconds of this machine's steady clock, absent for ever. */
  readonly refused: Map<string, { readonly why: string; readonly until?: number }>;
  readonly listeners: Set<() => void>;
  /** The program as it was when the facts were collected. */
  program: string;
}

/** The processes that have called, until they end. */
export class KnownProcesses {
  readonly #processes: ProcessTable;
  readonly #collectors: readonly Collector[];
  readonly #known = new Map<string, Known>();
  readonly #programs: ProgramFiles;

  constructor(processes: ProcessTable, programs: ProgramFiles, collectors: readonly Collector[]) {
    this.#processes = processes;
    this.#programs = programs;
    this.#collectors = collectors;
  }

  get(key: string): Known | undefined {
    return this.#known.get(key);
  }

  all(): Iterable<Known> {
    return this.#known.values();
  }

  /** Of a process that is alive: of one that has ended nothing is kept, since nobody would take it away again. */
  of(process: CallerProcess): Known {
    let known = this.#known.get(process.key);
    if (known === undefined) {
      this.#processes.hold(process);
      known = {
        ...{ process, seen: undefined, collecting: undefined, runtime: undefined, program: '' },
        ...{ children: new Map(), refused: new Map(), listeners: new Set() },
      };
      this.#known.set(process.key, known);
    }
    return known;
  }

  /** Of the process with this id, if it has called. */
  byPid(pid: number): Known | undefined {
    return [...this.#known.values()].find(({ process }) => process.pid === pid && this.#processes.alive(process));
  }

  /**
   * Collects the facts of a process now. Undefined when it ended meanwhile: what was read may be of another. Rejects with
   * `unavailable` where the daemon itself cannot look: then what is known stays.
   */
  async see(process: CallerProcess): Promise<Known | undefined> {
    if (!this.#processes.alive(process)) return undefined;
    const known = this.of(process);
    known.collecting ??= this.#collect(known).finally(() => {
      known.collecting = undefined;
    });
    return (await known.collecting) === undefined ? undefined : known;
  }

  /** Whether a process runs another program than when it was looked at. Rejects as `see`. */
  async hasChanged({ process, program }: Known): Promise<boolean> {
    const now = await this.#programs.state(process.pid);
    return now !== undefined && now !== program;
  }

  /** To be released by whoever calls this. */
  forget(key: string): Known | undefined {
    const known = this.#known.get(key);
    this.#known.delete(key);
    return known;
  }

  /** Undefined for a process that ends. */
  async #collect(known: Known): Promise<Whole | undefined> {
    const { pid } = known.process;
    if (!this.#programs.runs(pid)) return undefined;
    const seen = await collectFacts(known.process, this.#collectors, known.seen);
    // What was read while it ended is half of it, or of another that has its id by then.
    if (!this.#programs.runs(pid) || !this.#processes.alive(known.process)) return undefined;
    const program = seen.program?.file ?? '';
    // What one program said of itself is not true of the next: it says nothing any more.
    if (known.program !== '' && known.program !== program && known.runtime !== undefined) known.runtime = {};
    known.program = program;
    known.seen = seen;
    return seen;
  }
}

/** What is true of a process as far as it is known: what was seen of it, and what its runtime says. */
export function factsOf(
  known: Pick<Known, 'runtime'> & { readonly seen: Pick<Whole, 'facts'> | undefined },
): WorkloadFacts {
  return withSaid(known.seen?.facts ?? {}, known.runtime);
}

/** A signature of an image is the server's to verify: until it has spoken, it counts as good. */
export function withSaid(seen: WorkloadFacts, runtime: Runtime | undefined): WorkloadFacts {
  const own = withoutAgentFacts(seen);
  return { ...own, ...runtimeFacts(runtime, own, runtime?.image_signature?.attestor) };
}
