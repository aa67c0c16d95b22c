import type { Caller } from '../../base/access.ts';
import { demand } from '../../base/demand.ts';
import { WritError } from '../../base/error.ts';
import { activeOf } from '../../ca/authority.ts';
import { listDomains } from '../../ca/domain/domain.ts';
import { pushDomainStep, pushRootAtOnce } from '../../ca/domain/rotate.ts';
import { type DomainStep, nextDomainStep, ROOT_AHEAD_MS } from '../../ca/domain/rotation.ts';
import { committed } from '../../db/committed.ts';
import {
  type DomainKeepParts,
  type DomainParts,
  INSTALLATION,
  known,
  meansOf,
  type ShownDomain,
  stateOf,
} from './parts.ts';

/** What is to be replaced; at once, where it was stolen. */
export type DomainRotation = 'signing' | 'root' | 'root_at_once';

/**
 * Has another authority follow the one that signs subordinate authorities, at once; or another root, which is published a week
 * before it takes over, while the one before stays published for as long as anything below it is valid. `root_at_once` is for a
 * root key that was stolen: a new one takes over now, the others are published no more and their keys are deleted, so that whoever
 * fetches the bundle believes nothing that they signed.
 *
 * Throws `denied`, `needs_approval`, `not_found`, `inactive`, `conflict`.
 */
export async function rotateDomain(
  caller: Caller,
  { trustDomain, what }: { readonly trustDomain: string; readonly what: DomainRotation },
  parts: DomainParts,
): Promise<ShownDomain> {
  demand(parts.authorize, {
    ...{ caller, action: 'domain.rotate', resource: INSTALLATION },
    context: { trustDomain, change: what },
  });
  const state = await stateOf(trustDomain, parts);
  const { domain, authorities } = state;
  if (domain.state === 'closed')
    throw new WritError('inactive', 'The trust domain is closed: nothing is signed in it.');
  const means = meansOf(parts, caller.id);
  const root = activeOf(authorities, 'root');
  const signing = activeOf(authorities, 'intermediate');
  if (what === 'signing' && root !== undefined) {
    const step: DomainStep = { do: 'replace-signing', root, ...(signing === undefined ? {} : { from: signing }) };
    committed(await parts.commit(await pushDomainStep(step, state, means)));
  } else if (what === 'root_at_once') committed(await parts.commit(await pushRootAtOnce(state, means)));
  else {
    if (authorities.some(({ kind, state: is }) => kind === 'root' && is === 'next')) {
      throw new WritError('conflict', 'Another root is published already, and takes over when its time has come.', {
        remedy: 'See "writ domain show".',
      });
    }
    const step: DomainStep = { do: 'publish-root', signsFrom: means.now + ROOT_AHEAD_MS };
    committed(await parts.commit(await pushDomainStep(step, state, means)));
  }
  await keepDomain(trustDomain, parts);
  return known(trustDomain, parts);
}

/** So many times in a row others may have been quicker, each with a step; after that the refusal has another reason. */
const MOST_REFUSALS = 32;
/** Who does what is done by itself. */
const UPKEEP = 'system:rotation';

/** Does everything that is due to the authorities of further trust domains, and gives what was done by this process. */
export async function keepDomains(parts: DomainKeepParts): Promise<DomainStep['do'][]> {
  const done: DomainStep['do'][] = [];
  for (const { trustDomain, state } of await listDomains(parts.reader)) {
    if (state === 'active') done.push(...(await keepDomain(trustDomain, parts)));
  }
  return done;
}

async function keepDomain(trustDomain: string, parts: DomainKeepParts): Promise<DomainStep['do'][]> {
  const done: DomainStep['do'][] = [];
  for (let refusals = 0; ; ) {
    const state = await stateOf(trustDomain, parts);
    const means = meansOf(parts, UPKEEP);
    const step = nextDomainStep(state, means.now);
    if (step === undefined) return done;
    const answer = await parts.commit(await pushDomainStep(step, state, means));
    if (answer.committed) {
      done.push(step.do);
      refusals = 0;
    } else if (++refusals === MOST_REFUSALS) throw new WritError(answer.refusal, answer.reason);
  }
}
