import type { Batch, LedgerEvent, Write } from '../db/batch.ts';

/** What an entry means to whoever relies on certificates: an end for ever, a hold that may end, or the end of a hold. */
export type FeedEffect = 'stop' | 'hold' | 'release';

/** Ends for ever whose names do not say so by themselves. */
const STOPS: ReadonlySet<string> = new Set([
  'certificate.revoked',
  'instance.stopped',
  'agent.retired',
  'operator.removed',
  'domain.revoked',
]);

/** The effect of a type of entry; undefined where relying parties need not know of it. */
export function feedEffect(type: string): FeedEffect | undefined {
  if (STOPS.has(type) || type.endsWith('.stopped')) return 'stop';
  if (type.endsWith('.quarantined') || type.endsWith('.held')) return 'hold';
  if (type.endsWith('.released')) return 'release';
  return undefined;
}

/** How a certificate's own subject begins. */
const SERIAL = 'serial:';

/** No certificate of a holder lives longer, in milliseconds (`ca/profile/profile.ts`). */
const LONGEST_LIFE_MS = 366 * 86_400_000;

/** Clocks of relying parties may be behind by so much before a row leaves too early for them. */
const MARGIN_MS = 3_600_000;

const INSERT = 'INSERT INTO revocation_feed (leaf, act, type, at, expires_at, subjects) VALUES (?, ?, ?, ?, ?, ?)';

/**
 * The rows of the feed that stand for a batch's events, for whatever flow made them. An end of an instance, agent or
 * operator comes with those of its certificates, in the same batch or before long, so that its row is needed no longer
 * than theirs; where the batch has none, as long as any certificate may live.
 */
export function feedWrites(events: readonly LedgerEvent[], at: number): Write[] {
  let act: number | undefined;
  let expires = 0;
  const found: { readonly leaf: number; readonly type: string; readonly about: readonly string[] }[] = [];
  events.forEach(({ type, subjects }, leaf) => {
    if (feedEffect(type) === undefined) return;
    const about = targetsOf(type, subjects);
    if (about.length === 0) return;
    act ??= leaf;
    for (const subject of about) expires = Math.max(expires, expiryOf(subject));
    found.push({ leaf, type, about });
  });
  if (act === undefined) return [];
  const first = { leaf: act };
  const others = (expires === 0 ? at + LONGEST_LIFE_MS : expires) + MARGIN_MS;
  return found.map(({ leaf, type, about }) => {
    const own = Math.max(...about.map(expiryOf));
    const until = own === 0 ? others : own + MARGIN_MS;
    return { sql: INSERT, params: [{ leaf }, first, type, at, until, JSON.stringify(about)] };
  });
}

/** Of an entry's subjects those that it stops: an instance's end names its agent, too, which goes on. */
function targetsOf(type: string, subjects: readonly string[]): string[] {
  const kind = type.slice(0, type.indexOf('.'));
  // Of a further trust domain it is one authority, and whatever that signed.
  const prefixes = kind === 'certificate' ? [SERIAL] : kind === 'domain' ? [SERIAL, 'issuer:'] : [`${kind}:`];
  return [...new Set(subjects)].filter((subject) => prefixes.some((prefix) => subject.startsWith(prefix)));
}

/** The expiry in a serial number (`ca/certificate/serial.ts`: its first 48 bits); 0 for other subjects. */
function expiryOf(subject: string): number {
  if (!subject.startsWith(SERIAL)) return 0;
  const expiry = Number.parseInt(subject.slice(SERIAL.length, SERIAL.length + 12), 16);
  return Number.isSafeInteger(expiry) ? expiry : 0;
}

const EXPIRED = 'SELECT leaf FROM revocation_feed WHERE expires_at <= ? ORDER BY expires_at, leaf LIMIT ?';

/** Takes rows out, at most `limit`, about which nobody needs to know any more. Refused with `not_found` when there are none. */
export function pushFeedPurge(batch: Batch, now: number, limit: number): void {
  batch.checks.push({
    sql: 'SELECT 1 FROM revocation_feed WHERE expires_at <= ?',
    params: [now],
    want: 'present',
    refusal: 'not_found',
    reason: 'No row of the feed is past its time.',
  });
  batch.writes.push(
    {
      sql:
        `UPDATE revocation_feed_floor SET leaf = (SELECT MAX(leaf) FROM (${EXPIRED}) gone) ` +
        `WHERE id = 1 AND leaf < (SELECT MAX(leaf) FROM (${EXPIRED}) gone)`,
      params: [now, limit, now, limit],
    },
    { sql: `DELETE FROM revocation_feed WHERE leaf IN (${EXPIRED})`, params: [now, limit] },
  );
}
