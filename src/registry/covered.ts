import type { Reader, Row } from '../db/database.ts';
import { type Hold, INSTANCE_HELD, labelFragment } from './hold.ts';

/** As much of an instance as it takes to stop it. */
export interface CoveredInstance {
  readonly id: string;
  readonly agent: string;
  readonly stopped: boolean;
  /** Of its newest certificate. */
  readonly latestSerial: Uint8Array;
  /** It is covered only because of the one that let it in. */
  readonly derived: boolean;
}

/** Rows that are read at once. */
const PAGE = 64;

const COLUMNS = 'i.id, i.agent, i.status, i.latest_serial';

type Target = Omit<Hold, 'stop'>;

/**
 * Every instance that a hold covers, each once, page by page: those of its agents, those with its label, and where it
 * descends whatever they let in, whoever of them is stopped already. Pages are not empty.
 */
export async function* coveredInstances(reader: Reader, target: Target): AsyncGenerator<readonly CoveredInstance[]> {
  const seen = new Set<string>();
  const all: string[] = [];
  const fresh = (page: readonly CoveredInstance[]): CoveredInstance[] => {
    const found = page.filter(({ id }) => !seen.has(id));
    for (const { id } of found) {
      seen.add(id);
      all.push(id);
    }
    return found;
  };
  for await (const page of roots(reader, target)) {
    const found = fresh(page);
    if (found.length > 0) yield found;
  }
  if (!target.descend) return;
  for (let next = 0; next < all.length; ) {
    const parents = all.slice(next, next + PAGE);
    next += parents.length;
    for await (const page of walk(reader, `i.parent IN (${marks(parents)})`, parents)) {
      const found = fresh(page);
      if (found.length > 0) yield found.map((one) => ({ ...one, derived: true }));
    }
  }
}

/** The agents and services that a hold covers, in the order of their names; retired ones, too. */
export async function* coveredAgents(reader: Reader, { kind, target }: Target): AsyncGenerator<readonly string[]> {
  if (kind === 'agent') yield [target];
  if (kind !== 'owner' && kind !== 'orphan' && kind !== 'label') return;
  const mark = target.indexOf('=');
  const [sql, params] =
    kind !== 'label'
      ? ['SELECT name FROM agent WHERE team = ? AND name > ? ORDER BY name', [target]]
      : [
          'SELECT agent AS name FROM agent_label WHERE label = ? AND value = ? AND agent > ? ORDER BY agent',
          [target.slice(0, mark), target.slice(mark + 1)],
        ];
  for (let after = ''; ; ) {
    const names = (await reader.all(`${sql} LIMIT ${PAGE}`, [...params, after])).map((row) => row['name'] as string);
    if (names.length > 0) yield names;
    if (names.length < PAGE) return;
    after = names.at(-1)!;
  }
}

/** Which of these instances are not stopped now. */
export async function unstoppedAmong(reader: Reader, instances: readonly string[]): Promise<Set<string>> {
  const rows = await reader.all(
    `SELECT i.id FROM instance i WHERE i.id IN (${marks(instances)}) AND i.status <> 'stopped'`,
    instances,
  );
  return new Set(rows.map((row) => row['id'] as string));
}

/** Which of these instances are held, by whatever it is. */
export async function heldAmong(reader: Reader, instances: readonly string[]): Promise<Set<string>> {
  if (instances.length === 0) return new Set();
  const rows = await reader.all(
    `SELECT i.id FROM instance i WHERE i.id IN (${marks(instances)}) AND ${INSTANCE_HELD}`,
    instances,
  );
  return new Set(rows.map((row) => row['id'] as string));
}

/** The query of `heldAmong`, for a commit that looks again. */
export function anyHeld(instances: readonly string[]): { sql: string; params: readonly string[] } {
  return {
    sql: `SELECT 1 FROM instance i WHERE i.id IN (${marks(instances)}) AND ${INSTANCE_HELD}`,
    params: instances,
  };
}

async function* roots(reader: Reader, target: Target): AsyncGenerator<CoveredInstance[]> {
  if (target.kind === 'instance') yield* walk(reader, 'i.id = ?', [target.target]);
  for await (const agents of coveredAgents(reader, target)) {
    for (const agent of agents) yield* walk(reader, 'i.agent = ?', [agent]);
  }
  if (target.kind !== 'label') return;
  const fragment = labelFragment(target.target);
  yield* walk(reader, "i.labels <> '{}' AND REPLACE(i.labels, ?, '') <> i.labels", [fragment]);
}

async function* walk(reader: Reader, where: string, params: readonly string[]): AsyncGenerator<CoveredInstance[]> {
  for (let after = ''; ; ) {
    const rows = await reader.all(
      `SELECT ${COLUMNS} FROM instance i WHERE ${where} AND i.id > ? ORDER BY i.id LIMIT ${PAGE}`,
      [...params, after],
    );
    yield rows.map(coveredOf);
    if (rows.length < PAGE) return;
    after = rows.at(-1)!['id'] as string;
  }
}

function coveredOf(row: Row): CoveredInstance {
  const [id, agent] = [row['id'] as string, row['agent'] as string];
  const latestSerial = row['latest_serial'] as Uint8Array;
  return { id, agent, stopped: row['status'] === 'stopped', latestSerial, derived: false };
}

function marks(values: readonly unknown[]): string {
  return values.map(() => '?').join(', ');
}
