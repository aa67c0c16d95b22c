import { newId } from '../base/id.ts';
import { systemRandom } from '../base/random.ts';
import { newBatch } from '../db/batch.ts';
import { committed } from '../db/committed.ts';
import { holdOn, insertHold } from '../registry/hold.ts';
import { holdCertificates } from './hold-certificates.ts';
import type { MarkingParts } from './parts.ts';
import { release } from './release.ts';
import { quarantinedEvent } from './stop-event.ts';
import { insertStop, readStop, type StopRecord } from './stop-store.ts';

/** Writ itself, where a team is gone or back. */
const CALLER = { kind: 'system', id: 'system:owner-gone' } as const;

/**
 * Quarantines what every team owned that is gone, with all that it let in, and lets go what those owned that are back. That
 * nothing is issued for it, its agents have from the team's own standing; this holds the rest, and puts their certificates
 * on the revocation lists. Each agent is
 * free as soon as another team takes it over. May be repeated; gives the number of teams.
 */
export async function settleOrphans(parts: MarkingParts): Promise<number> {
  const { reader, commit, clock } = parts;
  const gone = await reader.all(
    "SELECT team FROM owner WHERE status = 'gone' AND NOT EXISTS " +
      "(SELECT 1 FROM hold WHERE kind = 'orphan' AND target = owner.team) ORDER BY team",
  );
  for (const row of gone) {
    const team = row['team'] as string;
    const at = clock.now();
    const hold = holdOn('orphan', team);
    const stop: StopRecord = {
      ...hold,
      id: newId(at, systemRandom()),
      state: 'quarantined',
      unmarked: true,
      cause: 'owner_withdrawn',
      stoppedBy: CALLER.id,
      authority: ['owner-gone'],
      stoppedAt: at,
    };
    const batch = newBatch();
    batch.checks.push({
      sql: "SELECT 1 FROM owner WHERE team = ? AND status = 'gone'",
      params: [team],
      want: 'present',
      refusal: 'conflict',
      reason: 'The team is back.',
    });
    insertStop(batch, stop);
    insertHold(batch, { ...hold, stop: stop.id });
    batch.events.push(quarantinedEvent(stop, [`owner:${team}`]));
    batch.anchored = true;
    const outcome = await commit(batch);
    if (outcome.committed) await holdCertificates(stop, parts);
    else if (outcome.refusal !== 'conflict') committed(outcome);
  }
  const back = await reader.all(
    "SELECT h.stop FROM hold h JOIN owner o ON o.team = h.target WHERE h.kind = 'orphan' AND o.status = 'active'",
  );
  for (const row of back) {
    const stop = await readStop(reader, row['stop'] as string);
    if (stop !== undefined) await release(stop, CALLER, ['owner-back'], parts);
  }
  return gone.length + back.length;
}
