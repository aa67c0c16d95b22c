import { WritError } from '../base/error.ts';
import { unmatched } from '../wire/match-facts.ts';
import type { WorkloadFacts } from '../wire/workload.ts';
import { collectFacts } from './collect/collect.ts';
import type { Collector } from './collect/collector.ts';
import type { ProcessTable } from './process/table.ts';
import { describeProcess } from './process/view.ts';
import { withSaid } from './workloads/known.ts';
import type { Workloads } from './workloads/workloads.ts';

/** Why a process has the identities that it has. */
export interface Why {
  readonly process: string;
  readonly pid: number;
  readonly facts: WorkloadFacts;
  /** What could not be seen, and why. */
  readonly notes: readonly string[];
  /** Those that match first, then by how little is missing. */
  readonly entries: readonly WhyEntry[];
  /** Further entries that were tried and are not shown. */
  readonly more: number;
}

interface WhyEntry {
  readonly id: string;
  readonly as: string;
  readonly match: readonly string[];
  /** What did not hold; empty for an entry that matches. */
  readonly missing: readonly string[];
  /** The identity that the process has by it. */
  readonly spiffe_id?: string;
  /** Why it has none, although it matches. */
  readonly refused?: string;
}

/** Entries that do not match and are shown all the same. */
const SHOWN = 20;

/** Looks at a process as if it called now, without letting it in. Throws `not_found` where there is none. */
export async function whyOf(
  pid: number,
  parts: {
    readonly processes: ProcessTable;
    readonly collectors: readonly Collector[];
    readonly workloads: Workloads;
    /** The server does not answer. */
    readonly silent: boolean;
    /** What the ledger has of the node, like `agent:box`. */
    readonly subject: string;
  },
): Promise<Why> {
  const { processes, collectors, workloads, silent, subject } = parts;
  const process = processes.open(pid);
  if (process === undefined) throw gone(subject);
  try {
    const known = workloads.peek(pid);
    const { facts: seen, notes } = await collectFacts(process, collectors, known?.seen);
    if (!processes.alive(process)) throw gone(subject);
    const index = workloads.entries;
    const facts = withSaid(seen, known?.runtime);
    const tried = (index?.entries ?? []).map((entry): WhyEntry => {
      const child = known?.children.get(entry.id);
      const missing = unmatched(entry.match, facts);
      const waits = silent && child === undefined && missing.length === 0 ? WAITS : undefined;
      const refused = known?.refused.get(entry.id)?.why ?? waits;
      return {
        id: entry.id,
        as: `${entry.kind} ${entry.name}`,
        match: entry.match,
        missing,
        ...(child === undefined ? {} : { spiffe_id: child.spiffeId }),
        ...(refused === undefined ? {} : { refused }),
      };
    });
    tried.sort((a, b) => a.missing.length - b.missing.length || (a.id < b.id ? -1 : 1));
    const matching = tried.filter(({ missing }) => missing.length === 0);
    const shown = tried.slice(0, matching.length + SHOWN);
    return {
      ...{ process: describeProcess(process), pid, facts },
      notes: [
        ...notes,
        ...(index === undefined ? ['no entries: the server has not been reached yet'] : []),
        ...(known?.runtime === undefined && shown.some(({ missing }) => missing.some(isOfAgent)) ? [UNSAID] : []),
      ],
      ...{ entries: shown, more: tried.length - shown.length },
    };
  } finally {
    processes.release(process);
  }
}

const WAITS = 'the server does not answer now; gets an identity once it does';

const UNSAID = 'agent: nothing, since its runtime has said nothing to this daemon (PresentRuntime)';

function isOfAgent(wanted: string): boolean {
  return wanted.startsWith('agent:');
}

function gone(subject: string): WritError {
  return new WritError('not_found', 'There is no process by that id.', {
    remedy: `Give the id of one that runs. Why one was refused that has ended, an operator sees with: writ ledger list --subject ${subject}`,
  });
}
