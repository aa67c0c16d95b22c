import { type Batch, newBatch } from '../../db/batch.ts';
import type { Reader } from '../../db/database.ts';
import { activeOf } from '../authority.ts';
import { changeState, type Domain, type DomainAuthority, endAuthority, publishRoots } from './domain.ts';
import { pushDomainList } from './list.ts';
import {
  certificateText,
  type DomainMeans,
  makeRoot,
  makeSigning,
  type OpenDomainAuthority,
  openDomainAuthority,
  recordDomain,
} from './make.ts';
import type { DomainState, DomainStep } from './rotation.ts';

type Means = DomainMeans & { readonly reader: Reader };

/**
 * Pushes one step. Whatever state its commit starts from it looks at again, so of several processes one succeeds. Throws as
 * `openKey`, `expired`.
 */
export async function pushDomainStep(step: DomainStep, state: DomainState, means: Means): Promise<Batch> {
  const batch = newBatch();
  const { domain } = state;
  switch (step.do) {
    case 'publish-root': {
      const { signsFrom } = step;
      noOther(batch, domain, 'root', 'next');
      const made = await makeRoot(batch, domain.trustDomain, { state: 'next', signsFrom }, means);
      const sequence = publishRoots(batch, domain, means.now);
      recordMade(batch, domain, made.authority, { sequence, signs_from: new Date(signsFrom).toISOString() }, means);
      break;
    }
    case 'replace-root':
      await replaceRoot(batch, step, state, means);
      break;
    case 'replace-signing':
      await replaceSigning(batch, await open(step.root, means), domain, means, step.from);
      break;
    case 'sign-list':
      await pushDomainList(batch, await open(step.of, means), state, means);
      // As other lists: a backup that lacks nothing more is no loss.
      batch.anchored = true;
      break;
    case 'end':
      pushEnd(batch, domain, step.of, means);
  }
  return batch;
}

/**
 * Pushes that all authorities above subordinate ones end now, a root that was published ahead included, and that a root which
 * nobody knows yet signs from now on: for a root key that was stolen.
 */
export async function pushRootAtOnce(state: DomainState, means: Means): Promise<Batch> {
  const batch = newBatch();
  const { domain, authorities } = state;
  const { caller, keyring } = means;
  const ending = authorities.filter((one) => one.kind !== 'subordinate' && one.state !== 'ended');
  for (const one of ending) endAuthority(batch, keyring, one);
  const root = await makeRoot(batch, domain.trustDomain, { state: 'active' }, means);
  const sequence = publishRoots(batch, domain, means.now);
  recordMade(batch, domain, root.authority, { sequence }, means);
  const signing = await makeSigning(batch, root, means);
  recordMade(batch, domain, signing.authority, {}, means);
  for (const one of ending) {
    recordDomain(batch, 'domain.ended', domain, { caller, authority: one.id, kind: one.kind, sequence }, [one]);
  }
  // What was given up stays given up, whatever an older backup says.
  batch.anchored = true;
  return batch;
}

async function replaceRoot(
  batch: Batch,
  { from, to }: Extract<DomainStep, { do: 'replace-root' }>,
  { domain, authorities }: DomainState,
  means: Means,
): Promise<void> {
  if (from === undefined) noOther(batch, domain, 'root', 'active');
  else changeState(batch, from, 'retired');
  let root: OpenDomainAuthority;
  if (to === undefined) {
    root = await makeRoot(batch, domain.trustDomain, { state: 'active' }, means);
    recordMade(batch, domain, root.authority, { sequence: publishRoots(batch, domain, means.now) }, means, from);
  } else {
    changeState(batch, to, 'active');
    root = await open({ ...to, state: 'active' }, means);
    recordMade(batch, domain, root.authority, {}, means, from);
  }
  await replaceSigning(batch, root, domain, means, activeOf(authorities, 'intermediate'));
}

/** Pushes the authority that signs subordinate ones from now on, in place of `from`. */
async function replaceSigning(
  batch: Batch,
  root: OpenDomainAuthority,
  domain: Domain,
  means: DomainMeans,
  from?: DomainAuthority,
): Promise<void> {
  if (from === undefined) noOther(batch, domain, 'intermediate', 'active');
  else changeState(batch, from, 'retired');
  await addSigning(batch, root, domain, means, from);
}

/** The same, where the batch has seen to it that no other one signs. */
export async function addSigning(
  batch: Batch,
  root: OpenDomainAuthority,
  domain: Domain,
  means: DomainMeans,
  from?: DomainAuthority,
): Promise<void> {
  const { authority } = await makeSigning(batch, root, means);
  recordMade(batch, domain, authority, {}, means, from);
}

function pushEnd(batch: Batch, domain: Domain, of: DomainAuthority, { keyring, now, caller }: Means): void {
  endAuthority(batch, keyring, of);
  const sequence = of.kind === 'root' ? { sequence: publishRoots(batch, domain, now) } : {};
  recordDomain(batch, 'domain.ended', domain, { caller, authority: of.id, kind: of.kind, ...sequence }, [of]);
}

function recordMade(
  batch: Batch,
  domain: Domain,
  made: DomainAuthority,
  more: { readonly sequence?: number; readonly signs_from?: string },
  { caller }: DomainMeans,
  previous?: DomainAuthority,
): void {
  const { id, kind, state } = made;
  const body = { caller, authority: id, kind, state, ...more, certificate: certificateText(made) };
  const about = previous === undefined ? [made] : [made, previous];
  recordDomain(
    batch,
    'domain.rotated',
    domain,
    { ...body, ...(previous === undefined ? {} : { previous: previous.id }) },
    about,
  );
  batch.bumpsEpoch = true;
}

function noOther(
  batch: Batch,
  { trustDomain }: Domain,
  kind: DomainAuthority['kind'],
  state: DomainAuthority['state'],
): void {
  batch.checks.push({
    sql: 'SELECT 1 AS found FROM domain_authority WHERE trust_domain = ? AND kind = ? AND state = ?',
    params: [trustDomain, kind, state],
    want: 'absent',
    refusal: 'conflict',
    reason: 'Another process changed the authorities of this trust domain.',
  });
}

function open(authority: DomainAuthority, { reader, keyring }: Means): Promise<OpenDomainAuthority> {
  return openDomainAuthority(reader, keyring, authority);
}
