import { isWritError } from '../../src/base/error.ts';
import type { Item } from '../../src/cli/api.ts';
import { leafHash } from '../../src/merkle/hash.ts';
import { parseTlogProof, verifyTlogProof } from '../../src/merkle/tlog-proof.ts';
import type { Choices } from '../fuzz/random.ts';
import { perform, type Scene } from './act.ts';
import type { Door } from './door.ts';
import type { Monitor } from './monitor.ts';
import type { Held, Release } from './world.ts';

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
    const { status } = await door.client('operator').json<Item>({ path: `/v1/certificates/${one.serial}` });
    if (status !== 'revoked') tally.violation('revocation lost', `certificate ${one.serial} is ${String(status)}`);
    const answer = await present(one, door);
    if (answer !== 'revoked') tally.violation('revocation lost', `a revoked certificate was answered ${answer}`);
  });
  await inTurns(latestAndSome(living, PRESENTED, choices), async (one) => {
    const answer = await present(one, door);
    if (answer !== 'accepted') tally.violation('valid certificate refused', `${one.serial}: ${answer}`);
  });
}

/** How the server takes a request with this certificate. */
async function present(held: Held, door: Door): Promise<string> {
  const client = door.client(held);
  try {
    await client.json<Item>({ path: '/v1/whoami' });
    return 'accepted';
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
