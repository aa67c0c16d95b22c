import { setTimeout as pause } from 'node:timers/promises';
import { silentLog } from '../../src/base/log.ts';
import type { Reader, Row } from '../../src/db/database.ts';
import { Anchor } from '../../src/ledger/anchor.ts';
import { verifyLedger } from '../../src/ledger/verify.ts';
import type { NoteKey } from '../../src/merkle/note-key.ts';
import { certificateCheck } from '../../src/report/index-check.ts';
import type { Scene } from './act.ts';
import { checkCovered, checkEffects, checkFeed } from './check-stops.ts';
import type { Monitor } from './monitor.ts';
import type { PointMode } from './point.ts';
import { RECOVERY_MS, type Site } from './site.ts';

/** Positions of the feed that each point was told. */
type Known = ReadonlyMap<PointMode, ReadonlySet<number>>;

/** What of the database may never go back, as it was seen last. */
export interface Highest {
  epoch: number;
  readonly crls: Map<string, number>;
  /** The first entry of the ledger whose effect was not looked at. */
  effects: number;
}

/**
 * Holds the whole database, as of one instant, against what clients were told and against its own log. Nothing may be
 * under way, and nothing unknown but what was given up.
 */
export async function checkDatabase(
  site: Site,
  scene: Scene,
  monitor: Monitor,
  { highest, known }: { readonly highest: Highest; readonly known: Known },
): Promise<void> {
  await site.snapshot(async (reader) => {
    await checkCertificates(reader, scene);
    await checkTokens(reader, scene);
    await checkStops(reader, scene);
    await checkCovered(reader, scene);
    await checkFeed(reader, known, scene);
    highest.effects = await checkEffects(reader, highest.effects, scene);
    await checkHighest(reader, scene, highest);
  });
  await checkLedger(site, scene, monitor);
}

interface Stored {
  readonly serial: string;
  readonly key: string;
  readonly leaf: number;
  readonly revoked: boolean;
}

async function checkCertificates(reader: Reader, { world, tally }: Scene): Promise<void> {
  const bySerial = new Map<string, Stored>();
  const byKey = new Map<string, number>();
  for (const { serial, key, leaf, revoked } of await storedCertificates(reader)) {
    if (bySerial.has(serial)) tally.violation('row', `certificate ${serial} has two`);
    bySerial.set(serial, { serial, key, leaf, revoked });
    byKey.set(key, (byKey.get(key) ?? 0) + 1);
  }
  for (const { serial, index } of world.releases.values()) {
    const row = bySerial.get(serial);
    if (row === undefined) tally.violation('released and lost', `certificate ${serial} has no row`);
    else if (row.leaf !== index) tally.violation('row', `certificate ${serial} is said to be entry ${row.leaf}`);
  }
  for (const serial of world.revoked) {
    const row = bySerial.get(serial);
    if (row !== undefined && !row.revoked) tally.violation('revocation lost', `certificate ${serial} is not marked`);
  }
  for (const [key, act] of world.byKey) {
    const minted = byKey.get(key) ?? 0;
    const most = act.refused === undefined || act.attempts > 1 ? 1 : 0;
    if (minted > most) {
      tally.violation(
        'minted twice',
        `${act.kind}: ${minted} certificates where ${most} may be (${act.attempts} tries)`,
      );
    }
    if (act.answer !== undefined && minted === 0) tally.violation('released and lost', `${act.kind}: no certificate`);
  }
}

async function storedCertificates(reader: Reader): Promise<Stored[]> {
  const partitions = await reader.all("SELECT number FROM partition WHERE family = 'certificate' AND dropped = 0");
  const stored: Stored[] = [];
  for (const { number } of partitions) {
    const rows = await reader.all(
      `SELECT serial, spki_hash, leaf, revoked_at FROM certificate_p${Number(number)} ORDER BY leaf`,
    );
    for (const row of rows) {
      stored.push({
        serial: hex(row['serial']),
        key: hex(row['spki_hash']),
        leaf: row['leaf'] as number,
        revoked: row['revoked_at'] !== null,
      });
    }
  }
  return stored;
}

/** A token lets in as many as it says, counts them, and nobody was let in by it without that. */
async function checkTokens(reader: Reader, { world, tally }: Scene): Promise<void> {
  const used = numbers(await reader.all('SELECT id AS name, used AS number FROM join_token'));
  const letIn = numbers(
    await reader.all('SELECT reference AS name, COUNT(*) AS number FROM instance GROUP BY reference'),
  );
  for (const token of world.tokens) {
    const [uses, instances] = [used.get(token.id), letIn.get(token.id) ?? 0];
    if (uses === undefined) tally.violation('released and lost', `token ${token.id} is not there`);
    if (instances > token.uses || token.letIn.size > token.uses) {
      tally.violation('token used too often', `${instances} instances by a token for ${token.uses}`);
    }
    if (uses !== undefined && uses !== instances) {
      tally.violation('token miscounted', `${instances} instances where ${uses} uses are counted`);
    }
    if (token.letIn.size > instances) tally.violation('released and lost', 'an instance that was let in is not there');
  }
}

/** Of two who stop the same at once, one is on record; and nothing is held that no stop holds. */
async function checkStops(reader: Reader, { tally }: Scene): Promise<void> {
  const twice = await reader.all(
    "SELECT kind, target FROM stop WHERE state <> 'released' GROUP BY kind, target, descend HAVING COUNT(*) > 1",
  );
  for (const { kind, target } of twice) tally.violation('stopped twice', `${String(kind)} ${String(target)}`);
  const loose = await reader.all(
    "SELECT stop FROM hold WHERE NOT EXISTS (SELECT 1 FROM stop s WHERE s.id = hold.stop AND s.state IN ('quarantined', 'revoking'))",
  );
  for (const { stop } of loose) tally.violation('held by nobody', String(stop));
  const free = await reader.all(
    "SELECT id FROM stop s WHERE state = 'quarantined' AND NOT EXISTS (SELECT 1 FROM hold WHERE stop = s.id)",
  );
  for (const { id } of free) tally.violation('quarantine lost', String(id));
}

/** Epoch and CRL numbers never go back. */
async function checkHighest(reader: Reader, { tally }: Scene, highest: Highest): Promise<void> {
  const head = await reader.get('SELECT epoch FROM ledger_head WHERE id = 1');
  const epoch = Number(head?.['epoch'] ?? -1);
  if (epoch < highest.epoch) tally.violation('gone back', `epoch ${epoch} after ${highest.epoch}`);
  highest.epoch = Math.max(epoch, highest.epoch);
  for (const [authority, number] of numbers(
    await reader.all(
      'SELECT authority AS name, number AS number FROM authority_crl UNION ALL SELECT id AS name, number FROM crl_list',
    ),
  )) {
    const before = highest.crls.get(authority) ?? 0;
    if (number < before) tally.violation('gone back', `CRL ${number} after ${before}`);
    highest.crls.set(authority, number);
  }
}

/** Every hash, signature, index row and anchor line, as `writ ledger verify` does it. */
async function checkLedger(site: Site, { tally }: Scene, monitor: Monitor): Promise<void> {
  const [checkpoint, cosignature] = monitor.keys as readonly [NoteKey, NoteKey];
  const { places } = site;
  for (const { anchor } of places) {
    const until = performance.now() + RECOVERY_MS;
    for (;;) {
      const findings: string[] = [];
      await site.snapshot((reader) =>
        verifyLedger({
          reader,
          keys: [checkpoint, cosignature],
          anchor: Anchor.reading(anchor, silentLog),
          checks: [certificateCheck(reader)],
          report: (where, what) => findings.push(`${where} ${what}`),
        }),
      );
      // What a replica revoked reaches the anchor of the other a moment later, and so does a list that a server publishes by itself.
      const waits = findings.every((finding) => finding.startsWith('anchor ')) && performance.now() < until;
      if (findings.length > 0 && waits) {
        await pause(100);
        continue;
      }
      for (const finding of findings) tally.violation('ledger verify', finding);
      break;
    }
  }
}

function numbers(rows: readonly Row[]): Map<string, number> {
  return new Map(rows.map((row) => [String(row['name']), Number(row['number'])]));
}

function hex(value: unknown): string {
  return Buffer.from(value as Uint8Array).toString('hex');
}
