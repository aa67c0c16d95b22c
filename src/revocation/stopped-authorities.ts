import { HELD } from '../ca/crl/revoked.ts';
import { type Cause, REASONS, reasonCode } from '../ca/revocation-cause.ts';
import type { Reader } from '../db/database.ts';

/** What the stop of an authority makes of all that it signed. */
export interface StoppedAuthority {
  /** Milliseconds: since when. */
  readonly at: number;
  /** CRLReason of RFC 5280; `HELD` while it is quarantined. */
  readonly reason: number;
}

/** The authorities that are held or stopped for ever, by id: nearly always none. */
export async function readStoppedAuthorities(reader: Reader): Promise<ReadonlyMap<string, StoppedAuthority>> {
  const rows = await reader.all(
    'SELECT h.target, s.state, s.cause, s.stopped_at, s.confirmed_at FROM hold h JOIN stop s ON s.id = h.stop ' +
      "WHERE h.kind = 'authority'",
  );
  return new Map(
    rows.map((row) => {
      const [stoppedAt, confirmedAt] = [row['stopped_at'] as number, row['confirmed_at'] as number | null];
      const stopped: StoppedAuthority =
        row['state'] === 'quarantined'
          ? { at: stoppedAt, reason: HELD }
          : { at: confirmedAt ?? stoppedAt, reason: reasonBelow(row['cause'] as Cause) };
      return [row['target'] as string, stopped];
    }),
  );
}

/** RFC 5280 §5.3.1: of what an authority signed whose key was stolen, it is not the own key that is compromised. */
function reasonBelow(cause: Cause): number {
  const reason = reasonCode(cause);
  return reason === REASONS.keyCompromise ? REASONS.cACompromise : reason;
}
