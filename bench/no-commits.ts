import type { CommitClient } from '../src/ledger/port.ts';

let leaf = 1_000_000;

/** Stands in for `ledger/port.ts`: says of everything that it is committed. */
export function commitClient(): CommitClient {
  return { commit: async () => ({ committed: true, firstLeaf: leaf++ }), close: async () => undefined };
}

export function serveCommits(): void {}
