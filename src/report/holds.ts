import { formatSerial } from '../ca/certificate/serial.ts';
import type { CertificateRow } from '../ca/index/certificates.ts';
import type { Reader } from '../db/database.ts';
import { decodeEntry, type RecordedEvent } from '../ledger/entry.ts';
import { eventsOf } from '../ledger/history.ts';
import { heldAmong } from '../registry/covered.ts';

/** A certificate with what holds it. */
export interface ReportedCertificate extends CertificateRow {
  /** It is quarantined now: since when in milliseconds, where that is on record already. */
  readonly held?: { readonly since?: number };
  /** It was at the instant that was asked about. */
  readonly heldThen?: boolean;
}

/** From, and until where it is over. Milliseconds. */
interface Hold {
  readonly from: number;
  readonly until?: number;
}

/**
 * Adds to certificates what the ledger says of their holds: entries of their own, and those of the authority that signed
 * them. What a stop has begun to hold and not marked yet is held, too. `then` (milliseconds): also whether each was held at
 * that instant.
 */
export async function withHolds(
  reader: Reader,
  rows: readonly CertificateRow[],
  then?: number,
): Promise<ReportedCertificate[]> {
  if (rows.length === 0) return [];
  const ofRow = (row: CertificateRow): string[] => [`serial:${formatSerial(row.serial)}`, `authority:${row.issuer}`];
  const holds = await holdsOf(reader, [...new Set(rows.flatMap(ofRow))]);
  const covered = await heldAmong(reader, [...new Set(rows.flatMap(({ instance }) => instance ?? []))]);
  return rows.map((row) => {
    const known = ofRow(row).flatMap((subject) => holds.get(subject) ?? []);
    const open = known.find(({ until }) => until === undefined);
    const begun = open === undefined && row.instance !== undefined && covered.has(row.instance);
    const held = row.revoked === undefined && (open !== undefined || begun);
    const heldThen = then !== undefined && known.some(({ from, until }) => from <= then && (until ?? Infinity) > then);
    return {
      ...row,
      ...(held ? { held: open === undefined ? {} : { since: open.from } } : {}),
      ...(heldThen ? { heldThen } : {}),
    };
  });
}

/** The holds of each subject, in the order of the ledger. */
async function holdsOf(reader: Reader, subjects: readonly string[]): Promise<Map<string, Hold[]>> {
  const marks = subjects.map(() => '?').join(', ');
  const rows = await reader.all(
    'SELECT s.subject, s.leaf, e.entry FROM ledger_subject s JOIN ledger_entry e ON e.leaf = s.leaf ' +
      `WHERE s.subject IN (${marks}) ORDER BY s.leaf`,
    subjects,
  );
  const timeOf = timesOfStops(reader);
  const holds = new Map<string, Hold[]>();
  for (const row of rows) {
    const event = decodeEntry(row['leaf'] as number, row['entry'] as Uint8Array);
    const begins = event.type.endsWith('.quarantined');
    if (!begins && !event.type.endsWith('.released')) continue;
    const subject = row['subject'] as string;
    const known = holds.get(subject) ?? [];
    holds.set(subject, known);
    const last = known.at(-1);
    if (begins && last !== undefined && last.until === undefined) continue;
    const at = await timeOf(event);
    if (begins) known.push({ from: at });
    else if (last !== undefined) known[known.length - 1] = { ...last, until: at };
  }
  return holds;
}

/** What a stop reaches is marked after it, and held or free since the stop itself says so. */
function timesOfStops(reader: Reader): (event: RecordedEvent) => Promise<number> {
  const stops = new Map<string, readonly RecordedEvent[]>();
  return async ({ type, time, body }) => {
    if (typeof body['at'] === 'string') return Date.parse(body['at']);
    const stop = body['cascade_origin'];
    if (typeof stop !== 'string') return time;
    const known = stops.get(stop) ?? (await eventsOf(reader, { subject: `stop:${stop}`, limit: 100 }));
    stops.set(stop, known);
    const change = type.slice(type.lastIndexOf('.'));
    const origin = known.findLast((event) => event.type.endsWith(change))?.body['at'];
    return typeof origin === 'string' ? Date.parse(origin) : time;
  };
}
