import { isWritError } from '../../src/base/error.ts';
import type { Item } from '../../src/cli/api.ts';
import { leafHash } from '../../src/merkle/hash.ts';
import { parseTlogProof, verifyTlogProof } from '../../src/merkle/tlog-proof.ts';
import type { Choices } from '../fuzz/random.ts';
import { perform, type Scene } from './act.ts';
import type { Door } from './door.ts';
import type { Monitor } from './monitor.ts';
import { inTurns, some } from './several.ts';
import { patiently } from './site.ts';
import { checkStanding } from './standing.ts';
import type { Release } from './world.ts';

/** How many that were looked at before are looked at again, of each kind. */
const AGAIN = 10;

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
