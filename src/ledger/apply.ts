import { WritError } from '../base/error.ts';
import type { Check, LeafIndex, Write } from '../db/batch.ts';
import type { SqlValue, Transaction } from '../db/database.ts';

/** Names the table that covers a time: `PartitionWriter` of `db/`. Called in the transaction that writes. */
export interface PartitionTables {
  table(
    tx: Transaction,
    target: { readonly family: string; readonly at: number; readonly expires: number },
  ): string | Promise<string>;
}

/** Sends a statement whose result nobody looks at; its failure surfaces at the latest when the transaction ends. */
export type Send = (sql: string, params: readonly SqlValue[]) => Promise<unknown> | undefined;

/** The leaves of one batch. */
export interface BatchLeaves {
  readonly first: number;
  readonly count: number;
}

/** The first check that does not hold, or undefined. All are asked in one statement, which costs less than the answers. */
export async function failedCheck(tx: Transaction, checks: readonly Check[]): Promise<Check | undefined> {
  if (checks.length === 0) return undefined;
  const row = await tx.get(
    textOf(checks),
    checks.flatMap(({ params }) => params),
  );
  // SQLite says 0 and 1, PostgreSQL false and true.
  return checks.find(({ want }, i) => Boolean(row?.[`c${i}`]) !== (want === 'present'));
}

/** Texts of combined checks by the checks' own, one level a check: combinations are few, and each is said many times. */
interface Combined {
  text: string | undefined;
  readonly followedBy: Map<string, Combined>;
}

const combinations: Combined = { text: undefined, followedBy: new Map() };

/** Most that are kept, beginnings of others included; texts that name a partition pass away with it. */
const COMBINATIONS = 4096;
let kept = 0;

function textOf(checks: readonly Check[]): string {
  if (kept > COMBINATIONS) {
    combinations.followedBy.clear();
    kept = 0;
  }
  let at = combinations;
  for (const { sql } of checks) {
    let next = at.followedBy.get(sql);
    if (next === undefined) {
      next = { text: undefined, followedBy: new Map() };
      at.followedBy.set(sql, next);
      kept++;
    }
    at = next;
  }
  at.text ??= `SELECT ${checks.map(({ sql }, i) => `EXISTS (${sql}) AS c${i}`).join(', ')}`;
  return at.text;
}

/** The parameters with the leaf indices that they stand for. */
export function resolveParams(write: Write, leaves: BatchLeaves): readonly SqlValue[] {
  const { params } = write;
  if (!params.some(isLeafIndex)) return params as readonly SqlValue[];
  return params.map((param) => {
    if (!isLeafIndex(param)) return param;
    if (!(param.leaf >= 0 && param.leaf < leaves.count)) {
      throw new WritError('internal', 'a write names a ledger event that its batch does not have');
    }
    return leaves.first + param.leaf;
  });
}

function isLeafIndex(param: SqlValue | LeafIndex): param is LeafIndex {
  return typeof param === 'object' && param !== null && !(param instanceof Uint8Array);
}

/** Rows in one statement, largest first: few texts, so that each of them stays prepared. */
const CHUNKS = [32, 8, 1] as const;

/** Makes a function that inserts rows in as few statements as the chunk sizes allow. */
export function rowInserter(
  table: string,
  columns: readonly string[],
): (send: Send, rows: readonly (readonly SqlValue[])[]) => Promise<void> {
  const one = `(${columns.map(() => '?').join(', ')})`;
  const texts = CHUNKS.map(
    (chunk) => `INSERT INTO ${table} (${columns.join(', ')}) VALUES ${Array(chunk).fill(one).join(', ')}`,
  );
  return async (send, rows) => {
    let at = 0;
    for (const [i, chunk] of CHUNKS.entries()) {
      for (; rows.length - at >= chunk; at += chunk) {
        await send(texts[i]!, chunk === 1 ? rows[at]! : rows.slice(at, at + chunk).flat());
      }
    }
  };
}
