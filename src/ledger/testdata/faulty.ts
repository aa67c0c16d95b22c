import { WritError } from '../../base/error.ts';
import type { Database, Row, SqlValue, Transaction } from '../../db/database.ts';

/** A real database that fails when it is told to. */
export interface Faulty {
  readonly database: Database;
  /** Statements of write transactions until now. */
  steps(): number;
  /** The next statement with this number throws, once. */
  failAt(step: number, error: () => Error): void;
  /** The next COMMIT is reported as unknown, after it happened or instead of it. */
  loseCommit(how: 'after' | 'before'): void;
  /** Reads and writes fail until it is called with false. */
  cut(off: boolean): void;
}

export function faulty(real: Database): Faulty {
  let steps = 0;
  let fault: { at: number; error: () => Error } | undefined;
  let lost: 'after' | 'before' | undefined;
  let off = false;

  const step = (): void => {
    if (off) throw gone();
    const now = steps++;
    if (fault?.at !== now) return;
    const { error } = fault;
    fault = undefined;
    throw error();
  };
  const wrap = (tx: Transaction): Transaction => ({
    async all(sql: string, params?: readonly SqlValue[]): Promise<Row[]> {
      step();
      return tx.all(sql, params);
    },
    async get(sql: string, params?: readonly SqlValue[]): Promise<Row | undefined> {
      step();
      return tx.get(sql, params);
    },
    async run(sql: string, params?: readonly SqlValue[]): Promise<number> {
      step();
      return tx.run(sql, params);
    },
  });
  const database: Database = {
    engine: real.engine,
    all: async (sql, params) => (off ? Promise.reject(gone()) : real.all(sql, params)),
    get: async (sql, params) => (off ? Promise.reject(gone()) : real.get(sql, params)),
    async transaction(work) {
      if (off) throw gone();
      const how = lost;
      const result = await real.transaction(async (tx) => {
        const done = await work(wrap(tx));
        if (how === 'before') {
          lost = undefined;
          throw unknown();
        }
        return done;
      });
      if (how === 'after') {
        lost = undefined;
        throw unknown();
      }
      return result;
    },
    snapshot: (read) => real.snapshot(read),
    close: () => real.close(),
  };
  return {
    database,
    steps: () => steps,
    failAt(at, error) {
      fault = { at, error };
    },
    loseCommit(how) {
      lost = how;
    },
    cut(now) {
      off = now;
    },
  };
}

function unknown(): WritError {
  return new WritError('storage_failed', 'the connection broke', { field: 'commit' });
}

function gone(): WritError {
  return new WritError('storage_failed', 'no connection');
}
