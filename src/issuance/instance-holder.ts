import { type InstanceEvidence, readInstanceEvidence } from '../attest/evidence-store.ts';
import { pairsOf } from '../attest/facts.ts';
import type { Caller } from '../base/access.ts';
import { demand } from '../base/demand.ts';
import { isWritError, WritError } from '../base/error.ts';
import { type Agent, agentResource } from '../registry/agent.ts';
import { narrowInstance, requireContext } from '../registry/instance.ts';
import { readStanding, requireActiveInstance, type Standing, standingFault } from '../registry/standing.ts';
import { instanceId } from '../spiffe-id/subject.ts';
import type { Holder } from './holder.ts';
import { isNarrower } from './narrow.ts';
import type { IssuanceParts, SigningAuthority } from './parts.ts';

/**
 * An instance that exists, as it is remembered under the epoch; with `fresh` the registry is read again. Throws
 * `not_found`.
 */
export async function instanceHolder(instance: string, parts: IssuanceParts, fresh: boolean): Promise<Holder> {
  const { holders, reader } = parts;
  if (fresh) holders.forget(instance);
  return holders.read(instance, async () => {
    const standing = await readStanding(reader, instance);
    if (standing !== undefined) return holderOf(standing, await readInstanceEvidence(reader, instance), parts);
    throw new WritError('not_found', 'There is no such instance.', {
      field: '/instance',
      remedy: 'Give the id of an enrolled instance.',
    });
  });
}

/**
 * An instance that a caller named. That there is none, only those are told who may list what is registered; others are
 * `denied`, as for any instance that is not theirs.
 */
export async function knownInstance(
  caller: Caller,
  instance: string,
  parts: IssuanceParts,
  fresh: boolean,
): Promise<Holder> {
  try {
    return await instanceHolder(instance, parts, fresh);
  } catch (error) {
    if (isWritError(error, 'not_found')) {
      const resource = { type: 'Installation', id: 'writ' } as const;
      demand(parts.authorize, { caller, action: 'agent.read', resource });
    }
    throw error;
  }
}

function holderOf(
  standing: Standing,
  evidence: InstanceEvidence | undefined,
  { authority, trustDomain }: IssuanceParts,
): Holder {
  const { agent, instance } = standing;
  const fault = standingFault(standing);
  return {
    kind: agent.kind,
    name: agent.name,
    instance: instance.id,
    standing,
    id: instanceId(trustDomain, agent.kind, agent.name, instance.id),
    ...profileOf(agent, authority),
    keyHolder: instance.id,
    resource: agentResource(agent),
    ...dnsNamesOf(agent),
    facts: { instance: instance.id, ...(evidence === undefined ? {} : { facts: pairsOf(evidence.facts) }) },
    context: instance,
    ...(instance.attestedUntil === undefined ? {} : { until: instance.attestedUntil }),
    subjects: [`agent:${agent.name}`, `instance:${instance.id}`],
    ...(fault === undefined ? {} : { fault: new WritError(fault.code, fault.message, REMEDIES[fault.code]) }),
    ...moduleOf(evidence),
    hasPrevious: true,
    record(batch, { context }) {
      requireActiveInstance(batch, standing);
      // Without any scope nothing is left to lose, so nothing can have been lost meanwhile.
      if (instance.scopes.length > 0) requireContext(batch, instance);
      if (!isNarrower(context, instance)) return;
      narrowInstance(batch, instance.id, context.workflow, context.scopes);
      batch.bumpsEpoch = true;
    },
  };
}

/** An instance that was let in by a trusted platform module renews by it, too. */
function moduleOf(evidence: InstanceEvidence | undefined): Pick<Holder, 'module'> {
  const key = evidence?.kind === 'tpm' ? evidence.facts['tpm:key']?.[0] : undefined;
  const attestor = evidence?.attestor;
  return key === undefined || attestor === undefined ? {} : { module: { attestor, key } };
}

/** The DNS names of an agent, where it has any of its own. */
export function dnsNamesOf({ dnsNames }: Agent): Pick<Holder, 'dnsNames'> {
  return dnsNames.length === 0 ? {} : { dnsNames };
}

/** The profile that an agent's certificates follow. Throws `inactive` when it is none that there is. */
export function profileOf(agent: Agent, authority: SigningAuthority): Pick<Holder, 'profile' | 'profileVersion'> {
  const stored = authority.profile(agent.profile);
  if (stored !== undefined) return { profile: stored.profile, profileVersion: stored.version };
  throw new WritError('inactive', `The profile of the ${agent.kind} does not exist.`, {
    remedy: `Publish it again, or give the ${agent.kind} another one.`,
  });
}

const REMEDIES = {
  revoked: {
    remedy: 'Enrol a new instance: by a new join token, by evidence, or of an orchestrator under another reference.',
  },
  inactive: { remedy: 'Ask the team that owns it, or an operator.' },
} as const;
