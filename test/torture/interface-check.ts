import { setTimeout as pause } from 'node:timers/promises';
import { isWritError } from '../../src/base/error.ts';
import type { Item } from '../../src/cli/api.ts';
import type { Client } from '../../src/http/client.ts';
import { leafHash } from '../../src/merkle/hash.ts';
import { parseTlogProof, verifyTlogProof } from '../../src/merkle/tlog-proof.ts';
import type { Choices } from '../fuzz/random.ts';
import { perform, type Scene } from './act.ts';
import type { Door } from './door.ts';
import type { Monitor } from './monitor.ts';
import { RECOVERY_MS } from './site.ts';
import { type Held, type Late, lateFor, type Release } from './world.ts';

/** How many that were looked at before are looked at again, of each kind. */
const AGAIN = 10;
/** How many revoked and living certificates are presented. */
const PRESENTED = 8;
const AT_ONCE = 8;

/** Holds what the interface says against what it said before: receipts, repeats, revocations. */
export async function checkInterface(door: Door, scene: Scene, monitor: Monitor, choices: Choices): Promise<void> {
  const releases = [...scene.world.releases.values()];
  const fresh = releases.filter(({ proven }) => !proven);
  const known = releases.filter(({ proven }) => proven);
  await inTurns([...fresh, ...some(known, AGAIN, choices)], (release) => checkReceipt(release, door, scene, monitor));
  await inTurns(some(scene.world.answered, AGAIN, choices), (act) => perform(act, door, scene));
  await checkStanding(door, scene, choices);
  await monitor.look(door.documents);
}

/** The receipt leads from the very bytes that were released to a checkpoint with the ledger's signature. */
async function checkReceipt(release: Release, door: Door, { tally }: Scene, monitor: Monitor): Promise<void> {
  const { serial, index, der } = release;
  try {
    const path = `/v1/ledger/entries/${index}/receipt`;
    const proof = parseTlogProof((await door.client('operator').send({ path })).body.toString('utf8'));
    const entry = proof.extra ?? new Uint8Array();
    const { checkpoint } = verifyTlogProof(proof, leafHash(entry), monitor);
    tally.receipts++;
    monitor.saw(checkpoint);
    const { body } = JSON.parse(Buffer.from(entry).toString('utf8')) as { body?: Item };
    if (proof.index !== index || body?.['certificate'] !== Buffer.from(der).toString('base64url')) {
      tally.violation('released and not recorded', `entry ${index} does not hold certificate ${serial}`);
    }
    release.proven = true;
  } catch (error) {
    if (!isWritError(error)) throw error;
    tally.violation('released and not recorded', `no receipt of entry ${index}: ${error.code}: ${error.message}`);
  }
}

async function checkStanding(door: Door, { world, tally }: Scene, choices: Choices): Promise<void> {
  const held = world.holders.flatMap((holder) => holder.held);
  const revoked = held.filter(({ revoke }) => revoke.since !== undefined);
  const living = held.filter(({ revoke, holder }) => !revoke.asked && !holder.stop.asked && !holder.agent.retire.asked);
  await inTurns(latestAndSome(revoked, PRESENTED, choices), async (one) => {
    const status = await statusOf(one, door);
    if (status !== 'revoked') tally.violation('revocation lost', `certificate ${one.serial} is ${status}`);
    const answer = await present(one, door, (late) => {
      if (late.after >= late.allowed) return false;
      tally.late('presented', late);
      return true;
    });
    if (answer !== 'revoked') tally.violation('revocation lost', `a revoked certificate was answered ${answer}`);
  });
  await inTurns(latestAndSome(living, PRESENTED, choices), async (one) => {
    const answer = await present(one, door, () => false);
    if (answer !== 'accepted') tally.violation('valid certificate refused', `${one.serial}: ${answer}`);
  });
}

/** What the server says of a certificate, or the code of the error that it gives instead. */
async function statusOf({ serial }: Held, door: Door): Promise<string> {
  try {
    const { status } = await door.client('operator').json<Item>({ path: `/v1/certificates/${serial}` });
    return String(status);
  } catch (error) {
    if (isWritError(error)) return error.code;
    throw error;
  }
}

/**
 * How the server takes requests with this certificate, once it knows: `accepted`, or the code of its refusal. One that
 * cannot say whether it was revoked answers `unavailable`, which accepts nothing, and is asked again; so it is after an
 * answer that comes late, where `mayBeLate` says so.
 */
async function present(held: Held, door: Door, mayBeLate: (late: Late) => boolean): Promise<string> {
  const until = performance.now() + RECOVERY_MS;
  const client = door.client(held);
  try {
    for (;;) {
      const at = performance.now();
      const answer = await whoami(client);
      if (answer === 'accepted') {
        const late = lateFor('the certificate was revoked', held.revoke, { at, door, again: true });
        if (late === undefined || !mayBeLate(late)) return answer;
      } else if (answer !== 'unavailable' || at > until) return answer;
      await pause(20);
    }
  } finally {
    door.release(client);
  }
}

async function whoami(client: Client): Promise<string> {
  try {
    await client.json<Item>({ path: '/v1/whoami' });
    return 'accepted';
  } catch (error) {
    if (isWritError(error)) return error.code;
    throw error;
  }
}

function some<T>(list: readonly T[], most: number, choices: Choices): T[] {
  if (list.length <= most) return [...list];
  return Array.from({ length: most }, () => choices.pick(list));
}

function latestAndSome<T>(list: readonly T[], most: number, choices: Choices): T[] {
  return [...new Set([...list.slice(-most), ...some(list, most, choices)])];
}

async function inTurns<T>(list: readonly T[], act: (item: T) => Promise<unknown>): Promise<void> {
  const queue = [...list];
  const turn = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) await act(next);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, turn));
}
