import type { Attestation, Attested } from '../attest/attested.ts';
import type { Caller } from '../base/access.ts';
import { WritError } from '../base/error.ts';
import { newId } from '../base/id.ts';
import type { Batch } from '../db/batch.ts';
import { type Agent, agentFault, agentResource } from '../registry/agent.ts';
import { readAgent } from '../registry/agent-store.ts';
import { type Instance, insertInstance } from '../registry/instance.ts';
import { requireActiveAgent } from '../registry/standing.ts';
import { instanceId } from '../spiffe-id/subject.ts';
import type { Holder } from './holder.ts';
import { dnsNamesOf, profileOf } from './instance-holder.ts';
import { issueCertificate } from './issue.ts';
import { type IssuedCertificate, issuedBefore } from './issued.ts';
import type { Context } from './narrow.ts';
import type { IssuanceParts } from './parts.ts';
import type { CertificateRequest } from './request.ts';

type Refused = Extract<Attestation, { accepted: false }>;

/**
 * Lets a new instance in, on evidence: a new instance id, its row, the use of the evidence and the first certificate are
 * one act. The same evidence asked for under the same idempotency key gives the same instance, also when it was good for
 * one only.
 *
 * Throws `token_refused` in one wording whatever is wrong with the evidence: why is for the ledger.
 */
export async function enrol(
  caller: Caller,
  request: CertificateRequest & { readonly evidence: Attestation },
  parts: IssuanceParts,
): Promise<IssuedCertificate> {
  const { evidence, csr, wish = {}, idempotency } = request;
  if (!evidence.accepted) return (await repeated(evidence, request, parts)) ?? (await refuse(evidence, parts));
  const { attested } = evidence;
  return issueCertificate(
    {
      caller,
      action: 'instance.enrol',
      event: 'certificate.issued',
      csr,
      wish,
      idempotency,
      holder: () => newcomer(attested, parts),
    },
    parts,
  );
}

/** A copy of an agent that does not exist yet; each call has another id. */
async function newcomer(attested: Attested, parts: IssuanceParts): Promise<Holder> {
  const { reader, authority, trustDomain, clock, random } = parts;
  const agent = await readAgent(reader, attested.agent);
  if (agent === undefined)
    throw new WritError('internal', 'Evidence was accepted for an agent that is not registered.');
  const id = newId(clock.now(), random);
  const message = agentFault(agent);
  return {
    kind: agent.kind,
    name: agent.name,
    instance: id,
    id: instanceId(trustDomain, agent.kind, agent.name, id),
    ...profileOf(agent, authority),
    keyHolder: id,
    resource: agentResource(agent),
    ...dnsNamesOf(agent),
    facts: attested.facts,
    context: attested,
    ...(attested.expiresAt === undefined ? {} : { until: attested.expiresAt }),
    subjects: [`agent:${agent.name}`, `instance:${id}`],
    evidence: `token:${attested.reference}`,
    ...(message === undefined ? {} : { fault: new WritError('inactive', message, { remedy: REMEDY }) }),
    hasPrevious: false,
    record(batch, { certificate, context, now }) {
      attested.record(batch, id);
      requireActiveAgent(batch, agent);
      const enrolled = instanceOf(agent, id, attested, context, { serial: certificate.serial, now });
      insertInstance(batch, enrolled);
      recordEnrolment(batch, agent, enrolled);
    },
  };
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

function recordEnrolment(batch: Batch, agent: Agent, instance: Instance): void {
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
    },
  });
}

/** The first answer, for a bearer whose evidence that very answer used up. */
async function repeated(
  { reference }: Refused,
  { idempotency }: CertificateRequest,
  parts: IssuanceParts,
): Promise<IssuedCertificate | undefined> {
  const first = reference === undefined ? undefined : await idempotency?.first();
  return first?.kind === 'reference' ? issuedBefore(first.reference, parts) : undefined;
}

async function refuse({ fault, reference }: Refused, parts: IssuanceParts): Promise<never> {
  const subjects = reference === undefined ? [] : [`token:${reference}`];
  const by = subjects[0];
  await parts.recordRefusal({ type: 'token.refused', by, code: 'token_refused', subjects, body: { fault } });
  throw new WritError('token_refused', 'The join token is not one that lets anybody in.', {
    field: '/token',
    remedy: 'Ask for another: it may be spent, revoked, past its time, or never have been one.',
  });
}

const REMEDY = 'Ask the team that owns it, or an operator.';
