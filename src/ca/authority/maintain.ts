import type { Clock } from '../../base/clock.ts';
import { WritError } from '../../base/error.ts';
import type { Random } from '../../base/random.ts';
import { type Batch, type CommitBatch, newBatch } from '../../db/batch.ts';
import type { Reader } from '../../db/database.ts';
import type { Keyring } from '../../keys/keyring.ts';
import { type Authority, activeOf } from '../authority.ts';
import { type Hierarchy, readHierarchy } from '../hierarchy.ts';
import type { Profile } from '../profile/profile.ts';
import { readProfiles } from '../profile/store.ts';
import { issuingLifetime } from './issuing-lifetime.ts';
import { pushAuthorityList, revokedBelow } from './list.ts';
import { openAuthority } from './open.ts';
import { nextStep, type Step } from './rotation.ts';
import { addKeyDeletion, addRotation } from './store.ts';
import { addIntermediate, addNextIssuing } from './succession.ts';

export interface MaintainParts {
  readonly reader: Reader;
  readonly commit: CommitBatch;
  readonly keyring: Keyring;
  readonly clock: Clock;
  readonly random: Random;
  /** Where the lists of authorities are served (`STATUS_PATHS`); absent: new ones say nothing about it. */
  readonly statusUrl?: string;
  /** Id of the caller; `system:rotation` when nobody asked. */
  readonly caller?: string;
  /**
   * Resolves when every process has had the time to learn of an authority that was just made: to open its key, and to
   * trust who presents nothing but a leaf that it signed. Waited for when the switch follows at once.
   */
  readonly learned?: () => Promise<void>;
}

/** So many times in a row another process may have been quicker; after that the refusal has another reason. */
const MOST_REFUSALS = 5;

/**
 * Does everything that is due to the authorities, step by step, and gives what was done by this process. Called at start
 * before the first request and about once a minute from then on; any number of processes may call it at once.
 *
 * Rejects with what the commit rejects with, and with `conflict` when the passphrase was changed since the keyring was
 * opened: then nothing more can be added under it.
 */
export async function maintain(parts: MaintainParts): Promise<Step[]> {
  return run(parts, () => undefined);
}

/**
 * Lets the issuing authority be succeeded now: makes the next one unless there is one, and switches. Gives the
 * authority that signs from now on. Throws `expired` when there is no intermediate that could sign it.
 */
export async function rotateIssuing(parts: MaintainParts): Promise<Authority> {
  const before = activeOf((await requireHierarchy(parts.reader)).authorities, 'issuing');
  await run(parts, () => before?.id);
  const after = activeOf((await requireHierarchy(parts.reader)).authorities, 'issuing');
  if (after !== undefined && after.id !== before?.id) return after;
  throw new WritError('expired', 'No intermediate authority is valid that could sign another issuing authority.', {
    remedy: 'Run "writ ca due": it says what needs the root key, and how.',
  });
}

async function run(parts: MaintainParts, succeed: () => string | undefined): Promise<Step[]> {
  const done: Step[] = [];
  for (let refusals = 0; ; ) {
    const hierarchy = await requireHierarchy(parts.reader);
    const profiles = (await readProfiles(parts.reader)).map(({ profile }) => profile);
    const wanted = succeed();
    const step = nextStep(hierarchy, {
      now: parts.clock.now(),
      issuingLifetime: issuingLifetime(profiles),
      ...(wanted === undefined ? {} : { succeed: wanted }),
    });
    if (step === undefined) return done;
    const batch = newBatch();
    await push(batch, step, hierarchy, profiles, parts);
    const answer = await parts.commit(batch);
    if (answer.committed) {
      done.push(step);
      refusals = 0;
      if (wanted !== undefined && step.do === 'make-next-issuing') await parts.learned?.();
    } else if (++refusals === MOST_REFUSALS) {
      throw new WritError(answer.refusal, answer.reason);
    }
  }
}

async function push(
  batch: Batch,
  step: Step,
  hierarchy: Hierarchy,
  profiles: readonly Profile[],
  { reader, keyring, statusUrl, clock, random, caller = 'system:rotation' }: MaintainParts,
): Promise<void> {
  const act = { now: clock.now(), caller, keyring, random, ...(statusUrl === undefined ? {} : { statusUrl }) };
  const open = (authority: Authority) => openAuthority(reader, keyring, authority, hierarchy.trustDomain);
  switch (step.do) {
    case 'make-intermediate':
      await addIntermediate(batch, hierarchy, await open(step.root), act);
      return;
    case 'make-next-issuing':
      await addNextIssuing(batch, hierarchy, await open(step.intermediate), { ...act, profiles });
      return;
    case 'take-over':
      addRotation(batch, step.from, step.to, act);
      return;
    case 'sign-crl':
      await pushAuthorityList(batch, hierarchy, await open(step.of), {
        ...act,
        below: await revokedBelow(reader, step.of.id),
      });
      // A backup that lacks nothing but lists is no loss.
      batch.anchored = true;
      return;
    case 'delete-key':
      addKeyDeletion(batch, keyring, step.of, act);
  }
}

async function requireHierarchy(reader: Reader): Promise<Hierarchy> {
  const hierarchy = await readHierarchy(reader);
  if (hierarchy !== undefined) return hierarchy;
  throw new WritError('not_found', 'This installation has no authorities.', { remedy: 'Run writ init first.' });
}
