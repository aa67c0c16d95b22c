import { withdrawTokensOf } from '../attest/token/store.ts';
import type { Caller } from '../base/access.ts';
import { WritError } from '../base/error.ts';
import { type CertificateRow, readCertificate } from '../ca/index/certificates.ts';
import { newBatch } from '../db/batch.ts';
import { type Operator, readOperator } from '../registry/operator.ts';
import type { MarkingParts } from './parts.ts';
import { pushRevocation } from './revoke.ts';
import { STEP } from './steps.ts';

/** How often it is looked again: whoever found the credential may be renewing with it at this very moment. */
const TRIES = 50;

/**
 * Makes worthless what an operator had before a new credential: all certificates but `keep` are revoked as stolen, and
 * the join tokens that they made are withdrawn, since whoever found the credential may have made some. Ends only when
 * nothing of it is left. The caller was authorised to give the credential.
 *
 * Throws `conflict` when somebody renews faster than this revokes: then the operator is to be removed.
 */
export async function voidOperatorBefore(
  caller: Caller,
  { operator, keep }: { readonly operator: string; readonly keep: Uint8Array },
  parts: MarkingParts,
): Promise<void> {
  const at = parts.clock.now();
  let recorded = false;
  for (let tries = 0; tries < TRIES; tries++) {
    const found = await readOperator(parts.reader, operator, at);
    const rows = found === undefined ? [] : await unrevoked(found, keep, parts);
    if (recorded && rows.length === 0) return;
    const batch = newBatch();
    // In each step: what is revoked in the next may have made a token since the last.
    withdrawTokensOf(batch, operator, at);
    if (!recorded) {
      batch.events.push({
        type: 'operator.replaced',
        subjects: [`operator:${operator}`],
        body: { caller: caller.id, operator, at: new Date(at).toISOString(), tokens: 'withdrawn' },
      });
    }
    for (const row of rows) await pushRevocation(batch, row, { at, cause: 'key_theft', caller: caller.id }, parts);
    batch.bumpsEpoch = true;
    batch.anchored = true;
    const commit = await parts.commit(batch);
    if (commit.committed) recorded = true;
    else if (commit.refusal !== 'conflict') throw new WritError(commit.refusal, commit.reason);
  }
  throw new WritError('conflict', 'Somebody keeps renewing with the credential that was lost.', {
    remedy: `Run: writ operator remove ${operator}; then add the person under another name.`,
  });
}

/** Certificates of an operator that still hold but for the one to keep, at most `STEP` of them. */
async function unrevoked(
  { serials }: Operator,
  keep: Uint8Array,
  { certificates }: MarkingParts,
): Promise<readonly CertificateRow[]> {
  const rows: CertificateRow[] = [];
  for (const serial of serials) {
    if (rows.length === STEP) break;
    if (Buffer.compare(serial, keep) === 0) continue;
    const row = await readCertificate(certificates, serial);
    if (row !== undefined && row.revoked === undefined) rows.push(row);
  }
  return rows;
}
