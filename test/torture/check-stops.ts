import { setTimeout as pause } from 'node:timers/promises';
import type { Reader } from '../../src/db/database.ts';
import type { Scene } from './act.ts';
import type { PointMode } from './point.ts';
import { RECOVERY_MS, type Site } from './site.ts';

const UNFINISHED =
  'SELECT (SELECT COUNT(*) FROM stop WHERE unmarked = 1) + (SELECT COUNT(*) FROM unfinished_stop) AS count';

/** A stop that was cut off is completed, whether anybody asks for it again or not. */
export async function awaitStops(site: Site, { tally }: Scene): Promise<void> {
  const until = performance.now() + RECOVERY_MS;
  for (;;) {
    const left = await site.snapshot(async (reader) => Number((await reader.get(UNFINISHED))?.['count']));
    if (left === 0) return;
    if (performance.now() > until) return tally.violation('stop not completed', `${left} are left unmarked`);
    await pause(200);
  }
}

/** Instances that a stop covers which is in force and was completed, with whatever they let in where it descends. */
const COVERED =
  'WITH RECURSIVE covered (id, descend) AS (' +
  "SELECT i.id, s.descend FROM stop s JOIN instance i ON (s.kind = 'agent' AND i.agent = s.target) " +
  "OR (s.kind = 'instance' AND i.id = s.target) WHERE s.unmarked = 0 AND s.state IN ('quarantined', 'revoked') " +
  'UNION SELECT i.id, c.descend FROM instance i JOIN covered c ON i.parent = c.id WHERE c.descend = 1) ';

/**
 * No certificate of what was stopped is forgotten, also none that was issued in the instant of the stop: each is revoked,
 * or on the lists as held.
 */
export async function checkCovered(reader: Reader, { tally }: Scene): Promise<void> {
  const partitions = await reader.all("SELECT number FROM partition WHERE family = 'certificate' AND dropped = 0");
  for (const { number } of partitions) {
    const forgotten = await reader.all(
      `${COVERED}SELECT DISTINCT c.serial FROM certificate_p${Number(number)} c JOIN covered ON covered.id = c.instance ` +
        'WHERE c.revoked_at IS NULL AND NOT EXISTS ' +
        '(SELECT 1 FROM revoked r WHERE r.serial = c.serial AND r.reason = 6)',
    );
    for (const { serial } of forgotten) {
      const hex = Buffer.from(serial as Uint8Array).toString('hex');
      tally.violation('stop forgets', `certificate ${hex} is neither revoked nor held`);
    }
  }
}

/** What a point was told is what the feed holds, without a gap and without what is in no log. */
export async function checkFeed(
  reader: Reader,
  known: ReadonlyMap<PointMode, ReadonlySet<number>>,
  { tally }: Scene,
): Promise<void> {
  const rows = await reader.all('SELECT leaf FROM revocation_feed ORDER BY leaf');
  const stored = new Set(rows.map(({ leaf }) => Number(leaf)));
  for (const [mode, entries] of known) {
    const last = Math.max(0, ...entries);
    for (const leaf of stored) {
      if (leaf <= last && !entries.has(leaf)) tally.violation('gap in the feed', `${mode} was not told entry ${leaf}`);
    }
    for (const leaf of entries) {
      if (!stored.has(leaf))
        tally.violation('feed without a log', `${mode} was told entry ${leaf}, which is not there`);
    }
  }
}

interface Effect {
  readonly body: { readonly acknowledged: number; readonly accepted_after: number };
}

/** Nothing was served after it had been acknowledged. `from`: the first entry to look at; gives the next. */
export async function checkEffects(reader: Reader, from: number, { tally }: Scene): Promise<number> {
  const rows = await reader.all('SELECT leaf, entry FROM ledger_entry WHERE leaf >= ? ORDER BY leaf', [from]);
  for (const { leaf, entry } of rows) {
    const text = Buffer.from(entry as Uint8Array).toString('utf8');
    if (!text.includes('"type":"revocation.effective"')) continue;
    const { body } = JSON.parse(text) as Effect;
    tally.effects += body.acknowledged;
    if (body.accepted_after !== 0) {
      tally.violation('accepted after', `entry ${Number(leaf)} says ${body.accepted_after} uses`);
    }
  }
  return Number(rows.at(-1)?.['leaf'] ?? from - 1) + 1;
}
