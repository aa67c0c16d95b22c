import type { Attested } from '../attest/attested.ts';
import { insertInstanceEvidence } from '../attest/evidence-store.ts';
import { pairsOf } from '../attest/facts.ts';
import type { Facts } from '../base/access.ts';
import { WritError } from '../base/error.ts';
import { newId } from '../base/id.ts';
import type { Batch, JsonValue } from '../db/batch.ts';
import { type Agent, agentFault, agentResource } from '../registry/agent.ts';
import { readAgent } from '../registry/agent-store.ts';
import { holdsAny, LABEL_HELD, requireLabelsFree } from '../registry/hold.ts';
import { type Instance, insertInstance } from '../registry/instance.ts';
import { requireActiveAgent } from '../registry/standing.ts';
import { instanceId } from '../spiffe-id/subject.ts';
import type { Holder } from './holder.ts';
import { dnsNamesOf, profileOf } from './instance-holder.ts';
import type { Context } from './narrow.ts';
import type { IssuanceParts, Wish } from './parts.ts';

/**
 * A copy of an agent that does not exist yet; each call has another id. `evidence`: by what its bearer is known in the
 * ledger who has no certificate yet.
 */
export async function newcomer(
  attested: Attested,
  evidence: string | undefined,
  parts: IssuanceParts,
): Promise<Holder> {
  const { reader, authority, trustDomain, clock, random } = parts;
  const agent = await readAgent(reader, attested.agent);
  if (agent === undefined)
    throw new WritError('internal', 'Evidence was accepted for an agent that is not registered.');
  const id = newId(clock.now(), random);
  const labels = Object.entries(attested.labels).map(([label, value]) => `${label}=${value}`);
  const held = labels.length > 0 && (await holdsAny(reader, { labels }));
  const message = agentFault(agent) ?? (held ? LABEL_HELD : undefined);
  return {
    kind: agent.kind,
    name: agent.name,
    instance: id,
    id: instanceId(trustDomain, agent.kind, agent.name, id),
    ...profileOf(agent, authority),
    keyHolder: id,
    resource: agentResource(agent),
    ...dnsNamesOf(agent),
    facts: toldToRules(attested),
    context: attested,
    ...(attested.expiresAt === undefined ? {} : { until: attested.expiresAt }),
    subjects: [`agent:${agent.name}`, `instance:${id}`],
    ...(evidence === undefined ? {} : { evidence }),
    ...(message === undefined ? {} : { fault: new WritError('inactive', message, { remedy: REMEDY }) }),
    hasPrevious: false,
    record(batch, { certificate, context, now }) {
      attested.record(batch, id);
      requireActiveAgent(batch, agent);
      requireLabelsFree(batch, labels);
      const enrolled = instanceOf(agent, id, attested, context, { serial: certificate.serial, now });
      insertInstance(batch, enrolled);
      keepEvidence(batch, attested, enrolled);
      recordEnrolment(batch, agent, enrolled, attested);
    },
  };
}

/** What was asked for, with a lifetime no longer than the registration entry gives. */
export function wishWithin(wish: Wish, { longestSeconds }: Pick<Attested, 'longestSeconds'>): Wish {
  if (longestSeconds === undefined) return wish;
  return { ...wish, lifetime: Math.min(wish.lifetime ?? longestSeconds, longestSeconds) };
}

function toldToRules({ facts, evidence }: Attested): Facts {
  return { ...facts, facts: evidence === undefined ? [] : pairsOf(evidence.facts) };
}

function instanceOf(
  agent: Agent,
  id: string,
  attested: Attested,
  { workflow, scopes }: Context,
  { serial, now }: { readonly serial: Uint8Array; readonly now: number },
): Instance {
  const { kind, reference, expiresAt, parent, labels } = attested;
  return {
    id,
    agent: agent.name,
    status: 'active',
    enrolledAt: now,
    firstSerial: serial,
    latestSerial: serial,
    attestation: kind,
    reference,
    ...(expiresAt === undefined ? {} : { attestedUntil: expiresAt }),
    ...(parent === undefined ? {} : { parent }),
    ...(workflow === undefined ? {} : { workflow }),
    scopes,
    labels,
  };
}

function keepEvidence(batch: Batch, { kind, entry, evidence }: Attested, { id, enrolledAt }: Instance): void {
  if (evidence === undefined) return;
  insertInstanceEvidence(batch, {
    instance: id,
    kind,
    ...evidence,
    ...(entry === undefined ? {} : { entry }),
    at: enrolledAt,
  });
}

function recordEnrolment(batch: Batch, agent: Agent, instance: Instance, attested: Attested): void {
  const { id, attestation, reference, attestedUntil, parent, workflow, scopes, labels } = instance;
  batch.events.push({
    type: 'instance.enrolled',
    subjects: [
      `agent:${agent.name}`,
      `instance:${id}`,
      `owner:${agent.team}`,
      ...(parent === undefined ? [] : [`instance:${parent}`]),
    ],
    body: {
      agent: agent.name,
      instance: id,
      attestation,
      reference,
      ...(attestedUntil === undefined ? {} : { attested_until: new Date(attestedUntil).toISOString() }),
      ...(parent === undefined ? {} : { parent }),
      ...(workflow === undefined ? {} : { workflow }),
      scopes,
      labels,
      ...evidenceBody(attested),
    },
  });
}

/** What was attested, and the digest of that with which it was. */
function evidenceBody({ entry, evidence }: Attested): { readonly [member: string]: JsonValue } {
  return {
    ...(entry === undefined ? {} : { entry }),
    ...(evidence?.attestor === undefined ? {} : { attestor: evidence.attestor }),
    ...(evidence === undefined
      ? {}
      : { evidence_sha256: Buffer.from(evidence.digest).toString('hex'), facts: evidence.facts }),
  };
}

const REMEDY = 'Ask the team that owns it, or an operator.';
