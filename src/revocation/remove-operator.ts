import { withdrawTokensOf } from '../attest/token-store.ts';
import type { Caller } from '../base/access.ts';
import { demand } from '../base/demand.ts';
import { listCertificates } from '../ca/certificate-pages.ts';
import { CAUSES, parseCause } from '../ca/revocation-cause.ts';
import { newBatch } from '../db/batch.ts';
import { committed } from '../db/committed.ts';
import { whenAnchored } from '../db/when-anchored.ts';
import { type Operator, removeOperator as pushRemoval, readOperator } from '../registry/operator.ts';
import type { RevocationParts, StopOptions, Why } from './parts.ts';
import { pushRevocation } from './revoke.ts';
import { absent } from './target.ts';

/** More unexpired certificates than this no operator has; what is beyond is revoked by a repeat. */
const MOST = 200;

/**
 * Removes an operator for ever, revokes all certificates of that name and withdraws the join tokens that it made, in one
 * act. Gives the operator as it stands then; repeating it revokes what was issued at the last moment.
 *
 * Throws `bad_request` for a cause that is not on the list, `not_found`, `denied`, `needs_approval`.
 */
export async function removeOperator(
  caller: Caller,
  target: { readonly operator: string } & Why,
  parts: RevocationParts,
  options: StopOptions = {},
): Promise<Operator> {
  const cause = parseCause(target);
  await parts.refresh();
  const at = parts.clock.now();
  const operator = await readOperator(parts.reader, target.operator, at);
  if (operator === undefined) throw absent(caller, 'operator', '/operator', parts);
  const { name } = operator;
  demand(parts.authorize, { caller, action: 'operator.remove', resource: { type: 'Operator', id: name } });
  const repeated = (await options.idempotency?.first()) !== undefined;

  const { rows } = await listCertificates(parts.certificates, { operator: name, state: 'active' }, at, MOST);
  const batch = newBatch();
  if (!repeated) options.idempotency?.keep(batch, { kind: 'reference', reference: name });
  if (operator.status === 'active') {
    pushRemoval(batch, name, at);
    batch.events.push({
      type: 'operator.removed',
      subjects: [`operator:${name}`],
      body: {
        caller: caller.id,
        operator: name,
        at: new Date(at).toISOString(),
        reason: CAUSES[cause],
        cause,
        tokens: 'withdrawn',
      },
    });
    withdrawTokensOf(batch, name, at);
    batch.anchored = true;
  }
  for (const row of rows) await pushRevocation(batch, row, { at, cause, caller: caller.id }, parts);
  if (batch.events.length > 0) committed(await parts.commit(batch));
  else await whenAnchored(parts.commit);
  return (await readOperator(parts.reader, name, at)) ?? operator;
}
