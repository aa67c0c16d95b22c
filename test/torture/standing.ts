import { setTimeout as pause } from 'node:timers/promises';
import { type ErrorCode, isWritError } from '../../src/base/error.ts';
import type { Item } from '../../src/cli/api.ts';
import type { Choices } from '../fuzz/random.ts';
import type { Scene } from './act.ts';
import type { Door } from './door.ts';
import { inTurns, some } from './several.ts';
import { patiently, RECOVERY_MS } from './site.ts';
import type { Tally } from './tally.ts';
import { type Held, lateFor } from './world.ts';

/** How many revoked and living certificates are presented. */
const PRESENTED = 8;

/** Revoked certificates are refused, all others are taken. */
export async function checkStanding(door: Door, { world, tally }: Scene, choices: Choices): Promise<void> {
  const held = world.holders.flatMap((holder) => holder.held);
  const revoked = held.filter(({ revoke }) => revoke.since !== undefined);
  const living = held.filter(
    ({ revoke, holder: { stop, hold, agent } }) => !revoke.asked && !stop.asked && !hold.asked && !agent.retire.asked,
  );
  const quarantined = held.filter(({ holder }) => holder.hold.since !== undefined);
  await inTurns(latestAndSome(quarantined, PRESENTED, choices), async (one) => {
    const answer = await presentUntilRefused(one, door, tally);
    if (answer !== 'inactive' && answer !== 'revoked') {
      tally.violation('quarantine lost', `a certificate of a quarantined instance was answered ${answer}`);
    }
  });
  await inTurns(latestAndSome(revoked, PRESENTED, choices), async (one) => {
    const status = await statusOf(one, door);
    if (status !== 'revoked') tally.violation('revocation lost', `certificate ${one.serial} is ${status}`);
    const answer = await presentUntilKnown(one, door, tally);
    if (answer !== 'revoked') tally.violation('revocation lost', `a revoked certificate was answered ${answer}`);
  });
  await inTurns(latestAndSome(living, PRESENTED, choices), async (one) => {
    const answer = await presentUntilKnown(one, door, tally);
    if (answer !== 'accepted') tally.violation('valid certificate refused', `${one.serial}: ${answer}`);
  });
}

/**
 * How a server takes one request with this certificate: `accepted`, `late` when it is revoked and the server may not have
 * learnt that yet, or the code of the refusal.
 */
export async function present(held: Held, door: Door, tally: Tally): Promise<ErrorCode | 'accepted' | 'late'> {
  const client = door.client(held);
  try {
    const at = performance.now();
    await client.json<Item>({ path: '/v1/whoami' });
    const late = lateFor('the certificate was revoked', held.revoke, { at, door, again: true });
    tally.late('presented', late);
    return late === undefined || late.after >= late.allowed ? 'accepted' : 'late';
  } catch (error) {
    if (isWritError(error)) return error.code;
    throw error;
  } finally {
    door.release(client);
  }
}

/** The same once the server knows: one that cannot say whether it was revoked is `unavailable`, which accepts nothing. */
async function presentUntilKnown(held: Held, door: Door, tally: Tally): Promise<string> {
  const until = performance.now() + RECOVERY_MS;
  for (;;) {
    const answer = await present(held, door, tally);
    if ((answer !== 'late' && answer !== 'unavailable') || performance.now() > until) return answer;
    await pause(20);
  }
}

/** The same for one that is held: a server that has not learnt that yet has the time in which it does. */
async function presentUntilRefused(held: Held, door: Door, tally: Tally): Promise<string> {
  const until = performance.now() + RECOVERY_MS;
  for (;;) {
    const answer = await present(held, door, tally);
    if (answer === 'inactive' || answer === 'revoked' || performance.now() > until) return answer;
    await pause(20);
  }
}

/** What the server says of a certificate, or the code of the error that it gives instead. */
async function statusOf({ serial }: Held, door: Door): Promise<string> {
  try {
    const path = `/v1/certificates/${serial}`;
    const { status } = await patiently(() => door.client('operator').json<Item>({ path }));
    return String(status);
  } catch (error) {
    if (isWritError(error)) return error.code;
    throw error;
  }
}

function latestAndSome<T>(list: readonly T[], most: number, choices: Choices): T[] {
  return [...new Set([...list.slice(-most), ...some(list, most, choices)])];
}
