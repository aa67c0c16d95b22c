import type { Caller } from '../base/access.ts';
import { readSerial } from '../ca/certificate/serial.ts';
import type { Batch } from '../db/batch.ts';
import type { Reader } from '../db/database.ts';
import { coveredInstances, heldAmong } from '../registry/covered.ts';
import { readPersonOf } from '../registry/person.ts';
import type { CordParts } from './parts.ts';
import { fallenQuery, readHeldSince } from './stop-store.ts';
import type { FoundTarget } from './stop-target.ts';

/** Instances that one person may stop for ever alone, unless configured otherwise. */
export const MASS_STOP = 100;

/** For so long, in milliseconds, what somebody stopped for ever counts together, as if it were one stop. */
const TOGETHER = 600_000;

/** What a stop for ever would end, and whether that is more than one person does alone. */
export interface Mass {
  /** Instances that count; beyond what one person does alone only that they are more. */
  readonly instances: number;
  readonly waits: boolean;
  /** All callers that are the person who asks. Nobody: it is the administrator on the server's machine, who never waits. */
  readonly callers: readonly string[];
}

/**
 * How many instances would end with a certificate that has not expired, or had not when a quarantine began, since what is
 * held cannot renew and nobody comes to be alone by waiting. Nor by splitting: what the same person has ended within ten
 * minutes, more than one at a time, counts with it. The end of a single one never waits for what was before.
 */
export async function massOf(caller: Caller, { hold }: FoundTarget, parts: CordParts): Promise<Mass> {
  if (caller.kind === 'system') return { instances: 0, waits: false, callers: [] };
  const { reader, clock, massStop = MASS_STOP } = parts;
  const now = clock.now();
  const since = await readHeldSince(reader);
  const callers = await callersOf(caller, reader);
  let instances = 0;
  for await (const page of coveredInstances(reader, hold)) {
    const ids = since === undefined ? [] : page.map(({ id }) => id);
    const held = await heldAmong(reader, ids);
    for (const { id, stopped, latestSerial } of page) {
      const expiresAt = readSerial(latestSerial)?.expiresAt ?? 0;
      if (!stopped && expiresAt > (held.has(id) ? since! : now)) instances++;
    }
    if (instances > massStop) return { instances, waits: true, callers };
  }
  if (instances <= 1) return { instances, waits: false, callers };
  const { sql, params } = fallenQuery(callers, now - TOGETHER);
  const before = Number((await reader.get(sql, params))?.['fallen'] ?? 0);
  return { instances, waits: before + instances > massStop, callers };
}

/** The commit adds up again; refused with `needs_approval` where another stop of the same person was quicker. */
export function requireAlone(
  batch: Batch,
  { instances, callers }: Mass,
  { clock, massStop = MASS_STOP }: CordParts,
): void {
  if (instances <= 1) return;
  const { sql, params } = fallenQuery(callers, clock.now() - TOGETHER);
  batch.checks.push({
    sql: `SELECT 1 FROM (${sql}) counted WHERE fallen <= ?`,
    params: [...params, massStop - instances],
    want: 'present',
    refusal: 'needs_approval',
    reason: 'With what was stopped before it is more than one person stops for ever alone.',
  });
}

/** A person is one, whichever of their credentials they come with. */
async function callersOf({ id, operator }: Caller, reader: Reader): Promise<string[]> {
  const person = operator === undefined ? undefined : await readPersonOf(reader, operator);
  if (!person || !id.endsWith(`/${operator}`)) return [id];
  const rows = await reader.all('SELECT name FROM operator WHERE person = ? ORDER BY name', [person]);
  return rows.map((row) => `${id.slice(0, -operator!.length)}${String(row['name'])}`);
}
