import { setTimeout as pause } from 'node:timers/promises';
import { isWritError } from '../../src/base/error.ts';
import type { Item } from '../../src/cli/api.ts';
import { leafHash } from '../../src/merkle/hash.ts';
import { parseTlogProof, verifyTlogProof } from '../../src/merkle/tlog-proof.ts';
import type { Choices } from '../fuzz/random.ts';
import { perform, type Scene } from './act.ts';
import type { Door } from './door.ts';
import type { Monitor } from './monitor.ts';
import { patiently } from './site.ts';
import type { Tally } from './tally.ts';
import { type Held, lateFor, type Release } from './world.ts';

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
  await patiently(() => monitor.look(door.documents));
}

/** The receipt leads from the very bytes that were released to a checkpoint with the ledger's signature. */
async function checkReceipt(release: Release, door: Door, { tally }: Scene, monitor: Monitor): Promise<void> {
  const { serial, index, der } = release;
  try {
    const path = `/v1/ledger/entries/${index}/receipt`;
    const { body: text } = await patiently(() => door.client('operator').send({ path }));
    const proof = parseTlogProof(text.toString('utf8'));
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
    const answer = await present(one, door, tally);
    if (answer !== 'revoked') tally.violation('revocation lost', `a revoked certificate was answered ${answer}`);
  });
  await inTurns(latestAndSome(living, PRESENTED, choices), async (one) => {
    const answer = await present(one, door, tally);
    if (answer !== 'accepted') tally.violation('valid certificate refused', `${one.serial}: ${answer}`);
  });
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

/**
 * How the server takes requests with this certificate, once it knows: `accepted`, or the code of its refusal. One that
 * cannot say whether it was revoked answers `unavailable`, which accepts nothing; it is asked again, as is one that may not
 * have learnt of the revocation yet.
 */
async function present(held: Held, door: Door, tally: Tally): Promise<string> {
  const client = door.client(held);
  try {
    for (;;) {
      let at = 0;
      await patiently(() => {
        at = performance.now();
        return client.json<Item>({ path: '/v1/whoami' });
      });
      const late = lateFor('the certificate was revoked', held.revoke, { at, door, again: true });
      if (late === undefined || late.after >= late.allowed) return 'accepted';
      tally.late('presented', late);
      await pause(20);
    }
  } catch (error) {
    if (isWritError(error)) return error.code;
    throw error;
  } finally {
    door.release(client);
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
