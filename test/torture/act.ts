import { randomUUID } from 'node:crypto';
import { type ErrorCode, isWritError } from '../../src/base/error.ts';
import type { Item } from '../../src/cli/api.ts';
import type { Door } from './door.ts';
import type { Tally } from './tally.ts';
import type { Act, Sending, World } from './world.ts';

export type NewAct = Omit<Act, 'key' | 'attempts'>;

export function newAct(act: NewAct): Act {
  return { ...act, key: randomUUID(), attempts: 0 };
}

type Outcome =
  | { readonly kind: 'answered'; readonly answer: Item }
  | { readonly kind: 'refused'; readonly code: ErrorCode; readonly message: string }
  /** Perhaps done, perhaps not: the connection broke, or the server said that it does not know. */
  | { readonly kind: 'unknown'; readonly code: ErrorCode; readonly message: string }
  /** Perhaps done, perhaps not, and asking again will not tell. */
  | { readonly kind: 'broken'; readonly code: ErrorCode; readonly message: string };

/** Codes after which the same request may well succeed, or has. */
const PASSING: ReadonlySet<ErrorCode> = new Set(['unavailable', 'storage_failed', 'signer_failed', 'request_timeout']);
/** Codes that say that something is broken which no kill may break. */
const BROKEN: ReadonlySet<ErrorCode> = new Set([
  'internal',
  'behind_anchor',
  'ledger_corrupt',
  'clock',
  'lint_failed',
  'bad_certificate',
]);

export interface Scene {
  readonly world: World;
  readonly tally: Tally;
}

/** Sends an act once and holds the answer against the world. */
export async function perform(act: Act, door: Door, { world, tally }: Scene): Promise<Outcome['kind']> {
  const sending = { at: performance.now(), door, again: act.attempts++ > 0 };
  world.flying.add(act);
  if (sending.again) tally.repeats++;
  const outcome = await send(act, door);
  world.flying.delete(act);
  switch (outcome.kind) {
    case 'answered':
      answered(act, outcome.answer, sending, { world, tally });
      break;
    case 'refused':
      if (!act.explains(outcome.code)) {
        tally.violation('refusal without a reason', `${act.kind}: ${outcome.code}: ${outcome.message}`);
      }
      if (!sending.again) act.refused = outcome.code;
      break;
    case 'broken':
      tally.violation('broken server', `${act.kind}: ${outcome.code}: ${outcome.message}`);
      break;
    case 'unknown':
      if (act.answer === undefined && !world.unknown.includes(act)) world.unknown.push(act);
  }
  return outcome.kind;
}

function answered(act: Act, answer: Item, sending: Sending, { world, tally }: Scene): void {
  tally.late(act.kind, act.late(sending));
  const same = act.same(answer);
  if (act.answer === undefined) {
    act.answer = same;
    tally.releases++;
    world.answered.push(act);
    act.settle(answer, sending.door);
  } else if (act.answer !== same) {
    tally.violation('another answer under the same key', `${act.kind}: ${act.answer} before, ${same} now`);
  }
}

async function send(act: Act, door: Door): Promise<Outcome> {
  const client = door.client(act.as);
  try {
    const request = { method: 'POST', path: act.path, body: act.body, idempotencyKey: act.key } as const;
    return { kind: 'answered', answer: await client.json<Item>(request) };
  } catch (error) {
    if (!isWritError(error)) throw error;
    const { code, message } = error;
    const kind = PASSING.has(code) ? 'unknown' : BROKEN.has(code) ? 'broken' : 'refused';
    return { kind, code, message };
  } finally {
    door.release(client);
  }
}
