import { formatSerial } from '../ca/certificate/serial.ts';
import { type CertificateRow, holderSubjects } from '../ca/index/certificates.ts';
import type { JsonValue, LedgerEvent } from '../db/batch.ts';
import type { StopRecord } from './stop-store.ts';

/** That something is held: whole, so that the hold can be made again from it (`replay.ts`). */
export function quarantinedEvent(stop: StopRecord, subjects: readonly string[]): LedgerEvent {
  const { id, kind, target, descend, state, cause, stoppedBy, authority, evidence, stoppedAt, revocationBy } = stop;
  return {
    type: `${eventKind(kind)}.quarantined`,
    subjects: [...subjects, `stop:${id}`],
    body: {
      caller: stoppedBy,
      stop: id,
      kind,
      target,
      descend,
      mode: state === 'revoking' ? 'revocation' : 'quarantine',
      at: new Date(stoppedAt).toISOString(),
      cause,
      authority,
      ...(evidence === undefined ? {} : { evidence }),
      ...(revocationBy === undefined ? {} : { revocation_by: revocationBy }),
    },
  };
}

/** A team that is gone and one that is quarantined are the same to whoever follows the log. */
export function eventKind(kind: StopRecord['kind']): string {
  return kind === 'orphan' ? 'owner' : kind;
}

/** That a stop is lifted, is to be for ever, or has come to its end. */
export function changedEvent(
  type: string,
  stop: StopRecord,
  caller: string,
  body: { readonly [member: string]: JsonValue } = {},
): LedgerEvent {
  const { id, kind, target } = stop;
  return { type, subjects: [subjectOf(stop), `stop:${id}`], body: { caller, stop: id, kind, target, ...body } };
}

/** That a certificate is held, or is free again, because of a stop that reaches it. */
export function certificateEvent(
  change: 'quarantined' | 'released',
  row: CertificateRow,
  stop: Pick<StopRecord, 'id'> | undefined,
): LedgerEvent {
  const serial = formatSerial(row.serial);
  return {
    type: `certificate.${change}`,
    subjects: [...holderSubjects(row), `serial:${serial}`],
    body: { serial, ...(stop === undefined ? {} : { cascade_origin: stop.id }) },
  };
}

/** What a stop is about, for the ledger. */
function subjectOf({ kind, target }: Pick<StopRecord, 'kind' | 'target'>): string {
  return `${kind === 'certificate' ? 'serial' : eventKind(kind)}:${target}`;
}
