import { withoutEntry } from '../attest/entry/store.ts';
import { withdrawTokensOf } from '../attest/token/store.ts';
import { readSerial } from '../ca/certificate/serial.ts';
import { pushHeld, pushReleased, pushRevoked } from '../ca/crl/revoked.ts';
import { insertShard } from '../ca/crl/shard.ts';
import { CERTIFICATES, type CertificateRow, readCertificate, revokeCertificateRow } from '../ca/index/certificates.ts';
import { beginStop } from '../ca/index/unfinished-stop.ts';
import { readTokenKeys, SVID_KEYS } from '../ca/jwt/key.ts';
import { blocksKey, type Cause, reasonCode } from '../ca/revocation-cause.ts';
import { type Batch, newBatch } from '../db/batch.ts';
import type { Reader } from '../db/database.ts';
import { PartitionMap } from '../db/partition-map.ts';
import type { RecordedEvent } from '../ledger/entry.ts';
import { readAgent, setAgentStatus } from '../registry/agent-store.ts';
import { deleteHold, labelFragment } from '../registry/hold.ts';
import { readInstance, stopInstance } from '../registry/instance.ts';
import { blockKey } from '../registry/key-in-use.ts';
import { readOperator, removeOperator } from '../registry/operator.ts';
import { beginDescendants } from './descendants.ts';
import { replayDomain } from './replay-domain.ts';
import { replayIssue } from './replay-issue.ts';

/**
 * Makes of events that the anchor kept the writes that they stand for, when an older database was put in place: what was
 * revoked stays revoked, whatever the backup says. What is marked already, and what this database never knew, is no
 * obstacle: a certificate that it does not know is noted for the revocation lists. Certificates of Writ's own servers and
 * responders get their rows again.
 */
export function replayRevocations(
  reader: Reader,
): (events: readonly RecordedEvent[]) => Promise<Pick<Batch, 'checks' | 'writes'>> {
  const issued = new Map<string, CertificateRow>();
  return async (events) => {
    const map = new PartitionMap(reader, CERTIFICATES.name);
    const writes: Batch['writes'] = [];
    for (const [place, event] of events.entries()) {
      const batch = newBatch();
      if (event.type === 'certificate.issued') await replayIssue(event, place, batch, map, issued);
      else await replay(event, batch, reader, map, issued);
      writes.push(...batch.writes);
    }
    // What held when it was recorded need not hold here, and the act is past: nothing is checked.
    return { checks: [], writes };
  };
}

async function replay(
  event: RecordedEvent,
  batch: Batch,
  reader: Reader,
  map: PartitionMap,
  issued: ReadonlyMap<string, CertificateRow>,
): Promise<void> {
  const { type, time, body } = event;
  const at = body['at'] === undefined ? time : Date.parse(text(event, 'at'));
  switch (type) {
    case 'certificate.revoked':
      return replayCertificate(event, at, batch, map, issued);
    case 'instance.stopped': {
      const instance = await readInstance(reader, text(event, 'instance'));
      if (instance !== undefined && instance.status !== 'stopped') stopInstance(batch, instance.id, at);
      // With the cord, other events say what falls with it.
      if (instance === undefined || body['cause'] === undefined || body['cascade_origin'] !== undefined) return;
      return beginDescendants(
        batch,
        { kind: 'instance', id: instance.id },
        { at, cause: text(event, 'cause') as Cause, caller: text(event, 'caller') },
      );
    }
    case 'agent.retired': {
      const agent = await readAgent(reader, text(event, 'agent'));
      if (agent === undefined) return;
      if (agent.status !== 'retired') setAgentStatus(batch, agent, 'retired', at);
      if (body['cause'] === undefined || body['cascade_origin'] !== undefined) return;
      // Which of its certificates had been marked is in other events; what had not is marked at the next start.
      const [cause, caller] = [text(event, 'cause') as Cause, text(event, 'caller')];
      beginStop(batch, { subject: `agent:${agent.name}`, stoppedAt: at, cause, stoppedBy: caller });
      return beginDescendants(batch, { kind: 'agent', id: agent.name }, { at, cause, caller });
    }
    case 'operator.removed': {
      const operator = await readOperator(reader, text(event, 'operator'), at);
      if (operator === undefined) return;
      if (operator.status === 'active') removeOperator(batch, operator.name, at);
      withdrawTokensOf(batch, operator.name, at);
      if (body['cause'] === undefined) return;
      const stop = { stoppedAt: at, cause: text(event, 'cause') as Cause, stoppedBy: text(event, 'caller') };
      return beginStop(batch, { subject: `operator:${operator.name}`, ...stop });
    }
    case 'certificate.quarantined':
    case 'instance.quarantined':
    case 'agent.quarantined':
    case 'owner.quarantined':
    case 'label.quarantined':
    case 'authority.quarantined':
      return replayQuarantine(event, at, batch, map);
    case 'certificate.released':
    case 'instance.released':
    case 'agent.released':
    case 'owner.released':
    case 'label.released':
    case 'authority.released':
      return replayRelease(event, at, batch);
    case 'stop.revocation_asked':
      batch.writes.push({
        sql: "UPDATE stop SET revocation_by = ?, cause = ? WHERE id = ? AND state = 'quarantined'",
        params: [text(event, 'caller'), text(event, 'cause'), text(event, 'stop')],
      });
      return;
    case 'stop.confirmed':
      // The rest of it, as far as other events do not say it, is carried out at the next start.
      batch.writes.push({
        sql:
          "UPDATE stop SET state = 'revoking', unmarked = 1, confirmed_by = ?, confirmed_at = ?, cause = ? " +
          "WHERE id = ? AND state = 'quarantined'",
        params: [text(event, 'caller'), at, text(event, 'cause'), text(event, 'stop')],
      });
      return;
    case 'operator.replaced':
      return withdrawTokensOf(batch, text(event, 'operator'), at);
    case 'signal.key_retired': {
      const key = (await readTokenKeys(reader)).find(({ jwk }) => jwk['kid'] === text(event, 'kid'));
      if (key !== undefined) batch.writes.push({ sql: 'DELETE FROM sealed_key WHERE id = ?', params: [key.id] });
      return;
    }
    case 'jwt.key_retired': {
      const keys = await readTokenKeys(reader, SVID_KEYS);
      const key = keys.find(({ jwk }) => jwk['kid'] === text(event, 'kid'));
      if (key !== undefined) batch.writes.push({ sql: 'DELETE FROM sealed_key WHERE id = ?', params: [key.id] });
      return;
    }
    case 'entry.removed': {
      const { attestor, node } = body;
      const source = attestor === undefined ? { node: String(node) } : { attestor: String(attestor) };
      batch.writes.push(...withoutEntry(text(event, 'entry'), source));
      return;
    }
    case 'attestor.removed':
      // Nothing rested on it any more.
      for (const sql of ['DELETE FROM registration_entry WHERE attestor = ?', 'DELETE FROM attestor WHERE name = ?']) {
        batch.writes.push({ sql, params: [text(event, 'attestor')] });
      }
      return;
    case 'domain.closed':
    case 'domain.revoked':
    case 'domain.ended':
      return replayDomain(event, at, batch);
    case 'bundle.published': {
      // What this database publishes is not what was published under that number: it gets a higher one.
      const sequence = Number(body['sequence']);
      batch.writes.push({
        sql: 'UPDATE trust_bundle SET sequence = ? WHERE id = 1 AND sequence < ?',
        params: [sequence + 1, sequence],
      });
      return;
    }
    default:
      return;
  }
}

/** Makes the hold again. Whether all that it covers was marked nobody knows here: that is done at the next start. */
async function replayQuarantine(event: RecordedEvent, at: number, batch: Batch, map: PartitionMap): Promise<void> {
  const { body } = event;
  if (body['stop'] === undefined) {
    // Held because of another stop, which is in an event of its own.
    const row = await readCertificate(map, new Uint8Array(Buffer.from(text(event, 'serial'), 'hex')));
    if (row !== undefined) pushHeld(batch, row, { at });
    return;
  }
  const [id, descend] = [text(event, 'stop'), body['descend'] === true ? 1 : 0];
  const target = [text(event, 'kind'), text(event, 'target'), descend] as const;
  batch.writes.push({
    sql:
      'INSERT INTO stop (id, kind, target, descend, state, unmarked, cause, stopped_by, authority, evidence, stopped_at, ' +
      'revocation_by) VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
    params: [
      id,
      ...target,
      body['mode'] === 'revocation' ? 'revoking' : 'quarantined',
      text(event, 'cause'),
      text(event, 'caller'),
      JSON.stringify(body['authority'] ?? []),
      text(event, 'evidence'),
      at,
      body['revocation_by'] === undefined ? null : text(event, 'revocation_by'),
    ],
  });
  if (target[0] === 'orphan') batch.writes.push(ownerIs('gone', target[1], at));
  const fragment = target[0] === 'label' ? labelFragment(target[1]) : '';
  batch.writes.push({
    sql:
      'INSERT INTO hold (kind, target, descend, fragment, stop) ' +
      "SELECT kind, target, descend, ?, id FROM stop WHERE id = ? AND state IN ('quarantined', 'revoking') ON CONFLICT DO NOTHING",
    params: [fragment, id],
  });
}

/** That a team is gone is in no anchor by itself. */
function ownerIs(status: 'active' | 'gone', team: string, at: number): Batch['writes'][number] {
  return { sql: 'UPDATE owner SET status = ?, updated_at = ? WHERE team = ?', params: [status, at, team] };
}

/** What was let go, on whose consent the event says, stays so: the older backup knows of the hold alone. */
function replayRelease(event: RecordedEvent, at: number, batch: Batch): void {
  const { body } = event;
  if (body['stop'] === undefined) {
    pushReleased(batch, { serial: new Uint8Array(Buffer.from(text(event, 'serial'), 'hex')) }, { at });
    return;
  }
  deleteHold(batch, text(event, 'stop'));
  if (body['kind'] === 'orphan') batch.writes.push(ownerIs('active', text(event, 'target'), at));
  batch.writes.push({
    sql:
      "UPDATE stop SET state = 'released', unmarked = 1, released_by = ?, released_at = ? " +
      "WHERE id = ? AND state = 'quarantined'",
    params: [text(event, 'caller'), at, text(event, 'stop')],
  });
}

async function replayCertificate(
  event: RecordedEvent,
  at: number,
  batch: Batch,
  map: PartitionMap,
  issued: ReadonlyMap<string, CertificateRow>,
): Promise<void> {
  const cause = text(event, 'cause') as Cause;
  const serial = new Uint8Array(Buffer.from(text(event, 'serial'), 'hex'));
  if (blocksKey(cause)) blockKey(batch, new Uint8Array(Buffer.from(text(event, 'key'), 'hex')));
  const row = issued.get(text(event, 'serial')) ?? (await readCertificate(map, serial));
  const expiresAt = readSerial(serial)?.expiresAt ?? 0;
  if (row === undefined) {
    batch.writes.push({
      sql:
        'INSERT INTO lost_certificate (serial, expires_at, revoked_at, reason, cause) VALUES (?, ?, ?, ?, ?) ' +
        'ON CONFLICT (serial) DO NOTHING',
      params: [serial, expiresAt, at, reasonCode(cause), cause],
    });
    const [issuer, shard] = [event.body['issuer'], event.body['shard']];
    if (typeof issuer !== 'string') return;
    const listed = { serial, issuer, expiresAt, ...(typeof shard === 'string' ? { shard } : {}) };
    if (listed.shard !== undefined) insertShard(batch, { id: listed.shard, issuer, createdAt: at });
    pushRevoked(batch, listed, { at, reason: reasonCode(cause) });
  } else if (row.revoked === undefined) {
    await revokeCertificateRow(map, batch, row, { at, cause, caller: text(event, 'caller') });
  }
}

function text({ body }: RecordedEvent, member: string): string {
  return String(body[member] ?? '');
}
