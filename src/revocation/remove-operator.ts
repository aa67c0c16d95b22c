import { withdrawTokensOf } from '../attest/token/store.ts';
import type { Caller } from '../base/access.ts';
import { demand } from '../base/demand.ts';
import { CAUSES, parseCause } from '../ca/revocation-cause.ts';
import type { Batch } from '../db/batch.ts';
import { type Operator, removeOperator as pushRemoval, readOperator } from '../registry/operator.ts';
import { countStop } from '../registry/stop-rate.ts';
import { absent } from './asked.ts';
import { withEvidence } from './evidence.ts';
import type { RevocationParts, StopOptions, Why } from './parts.ts';
import { stopInSteps } from './steps.ts';
import type { StopFacts } from './stopping-instance.ts';

/**
 * Removes an operator for ever and withdraws the join tokens that it made, in one act, from where on no certificate of
 * that name has any force; those that are out are marked in bounded steps before this resolves. Gives the operator as it
 * stands then. Repeating it completes what is not complete.
 *
 * Throws `bad_request` for a cause that is not on the list and evidence that is no link, `not_found`, `denied`,
 * `needs_approval`, `rate_limited`.
 */
export async function removeOperator(
  caller: Caller,
  target: { readonly operator: string } & Why,
  given: RevocationParts,
  options: StopOptions = {},
): Promise<Operator> {
  const cause = parseCause(target);
  const parts = withEvidence(given, target.evidence);
  await parts.refresh();
  const at = parts.clock.now();
  const operator = await readOperator(parts.reader, target.operator, at);
  if (operator === undefined) throw absent(caller, 'operator', '/operator', parts);
  const { name } = operator;
  demand(parts.authorize, { caller, action: 'operator.remove', resource: { type: 'Operator', id: name } });

  const stop = { at, cause, caller: caller.id };
  await stopInSteps(
    {
      subject: `operator:${name}`,
      stoppedAt: at,
      cause,
      stoppedBy: caller.id,
      filter: { operator: name },
      canBeWhole: false,
      async begin() {
        const now = await readOperator(parts.reader, name, at);
        const repeated = (await options.idempotency?.first()) !== undefined;
        return (batch) => {
          if (now?.status === 'active') {
            countStop(batch, caller, at, parts.stopsAMinute);
            pushRemoved(batch, name, stop);
          }
          // A repeat of a removal that was begun under this key and cut off completes it; the key is kept already.
          if (!repeated) options.idempotency?.keep(batch, { kind: 'reference', reference: name });
        };
      },
    },
    parts,
  );
  return (await readOperator(parts.reader, name, at)) ?? operator;
}

function pushRemoved(batch: Batch, operator: Operator['name'], { at, cause, caller }: StopFacts): void {
  pushRemoval(batch, operator, at);
  withdrawTokensOf(batch, operator, at);
  batch.events.push({
    type: 'operator.removed',
    subjects: [`operator:${operator}`],
    body: {
      caller,
      operator,
      at: new Date(at).toISOString(),
      reason: CAUSES[cause],
      cause,
      tokens: 'withdrawn',
    },
  });
}
