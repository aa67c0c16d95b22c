import type { AccessRequest, Caller, Verdict } from '../base/access.ts';
import type { Clock } from '../base/clock.ts';
import { newId } from '../base/id.ts';
import type { Random } from '../base/random.ts';
import { readCertificate, requireUnrevoked } from '../ca/index/certificates.ts';
import { requireFree } from '../ca/index/require-free.ts';
import type { Batch } from '../db/batch.ts';
import type { Reader } from '../db/database.ts';
import type { PartitionMap } from '../db/partition-map.ts';
import { type Emergency, insertEmergency } from '../registry/emergency.ts';
import { readPersonOf } from '../registry/person.ts';
import { type Approval, consents, type Decision, recovers, resourceText } from './approval.ts';
import { pushNotices } from './notice.ts';
import type { ApprovalParts } from './parts.ts';
import { digestOf, subjectsOf } from './request.ts';
import { pushRecovery, pushUse, readApproval } from './store.ts';

type Refused = Extract<Verdict, { allowed: false }>;

/** What one request brings of consent: `revocation/acting.ts` asks with it and commits with it. */
export interface Consent {
  /** The verdict in place of one that asks for an approval: allowed where this is the approval. */
  answer(request: AccessRequest, verdict: Refused): Verdict;
  /** Pushes its use, in the batch of the act, and gives the id, once it has allowed something; otherwise undefined. */
  use(batch: Batch): string | undefined;
}

interface ConsentParts extends Pick<ApprovalParts, 'webhooks' | 'random'> {
  readonly reader: Reader;
  readonly clock: Clock;
  /** Of the family `certificate`. */
  readonly certificates: PartitionMap;
}

/**
 * What a request says of approvals: it names one, or asks for one. An approval is for the caller, action, resource and
 * parameters that it was asked for with, and for nothing else; whether it holds is looked at here, and by the commit.
 */
export async function consentOf(caller: Caller, parts: ConsentParts): Promise<Consent | undefined> {
  const { bound } = caller;
  if (bound === undefined) return undefined;
  if (bound.approval === undefined) {
    return {
      answer(request, verdict) {
        bound.needs(request, verdict);
        return verdict;
      },
      use: () => undefined,
    };
  }
  const now = parts.clock.now();
  const found = await readApproval(parts.reader, bound.approval, now);
  const approval = found?.requester === caller.id ? found : undefined;
  if (approval === undefined) return refusing('There is no such approval of this caller.');
  if (Buffer.compare(digestOf(approval.salt, bound.parameters), approval.digest) !== 0) {
    return refusing('The approval is for a request with other parameters; repeat the very same request.');
  }
  const repeated = approval.status === 'used' && (await bound.repeated());
  const good = await withGoodCertificates(approval, parts);
  const back = approval.recoversAt === undefined ? NOBODY_BACK : await comingBack(approval, parts.reader);
  let using: { readonly needed: number; readonly group: string } | undefined;
  return {
    answer(request, verdict) {
      const fault = faultOf(approval, request, verdict, { repeated, now });
      if (fault !== undefined) return { ...verdict, reasons: [...verdict.reasons, fault] };
      const { count, group } = verdict.needsApproval!;
      using = { needed: count, group };
      return { allowed: true, rules: verdict.rules, policyVersion: verdict.policyVersion };
    },
    use(batch) {
      if (using === undefined) return undefined;
      const at = parts.clock.now();
      const people = good.map(({ decision }) => decision.person);
      const recovered = recovers(approval, at);
      if (recovered) {
        pushRecovery(batch, approval, at);
        insertEmergency(batch, { ...recoveryOf(approval, people, { now: at, random: parts.random }), ...back });
      } else {
        for (const { check } of good) batch.checks.push(...check);
        pushUse(batch, { ...using, approval, people, now: at });
      }
      batch.events.push({
        type: 'approval.used',
        subjects: subjectsOf(approval),
        body: {
          caller: caller.id,
          approval: approval.id,
          action: approval.action,
          resource: resourceText(approval.resource),
          parameters_sha256: Buffer.from(approval.digest).toString('hex'),
          people,
          ...(recovered ? { recovered } : {}),
        },
      });
      pushNotices(batch, 'used', { ...approval, status: 'used' }, parts);
      return approval.id;
    },
  };
}

/** Why this approval does not allow that request; undefined when it does, as far as can be seen before the commit. */
function faultOf(
  approval: Approval,
  request: AccessRequest,
  verdict: Refused,
  { repeated, now }: { readonly repeated: boolean; readonly now: number },
): string | undefined {
  const { action, resource } = request;
  if (approval.action !== action || resourceText(approval.resource) !== resourceText(resource)) {
    return `The approval is for ${approval.action} of ${resourceText(approval.resource)}.`;
  }
  const other = repeated ? undefined : otherFact(approval, request);
  if (other !== undefined) return `What it is about has changed since it was asked for (${other}); ask anew.`;
  const { count, group } = verdict.needsApproval!;
  switch (approval.status) {
    case 'granted':
      return undefined;
    case 'pending':
      if (recovers(approval, now)) return undefined;
      return `The approval has ${consents(approval).length} of ${approval.needed} consents of ${approval.group}.`;
    case 'used':
      // The flow gives the first answer; were it to act again, its commit would be refused.
      return repeated ? undefined : 'The approval was used, and holds once.';
    default:
      return `The approval is ${approval.status}; ask ${count} of ${group} anew.`;
  }
}

/**
 * The name of a fact that is not as those who agreed were shown it: the same request is about something else when what
 * is registered has changed meanwhile. Undefined where all are the same.
 */
function otherFact({ facts }: Approval, { resource, context = {} }: AccessRequest): string | undefined {
  for (const [shown, now] of [
    [facts.resource, resource.facts ?? {}],
    [facts.context, context],
  ] as const) {
    const names = new Set([...Object.keys(shown), ...Object.keys(now)]);
    const other = [...names].find((name) => JSON.stringify(shown[name]) !== JSON.stringify(now[name]));
    if (other !== undefined) return other;
  }
  return undefined;
}

/** What took effect without consent, for others to look at. */
function recoveryOf(
  { id, reason }: Approval,
  people: readonly string[],
  { now, random }: { readonly now: number; readonly random: Random },
): Omit<Emergency, 'operator' | 'person'> {
  const over = { beganAt: now, endsAt: now, endedAt: now };
  return { id: newId(now, random), kind: 'recovery', purpose: reason, approval: id, people, ...over };
}

type ComingBack = Pick<Emergency, 'operator' | 'person'>;

const NOBODY_BACK: ComingBack = { operator: '', person: '' };

/** Who comes back by a recovery: its parameters name them, and the registry whose a credential is that is replaced. */
async function comingBack({ parameters }: Approval, reader: Reader): Promise<ComingBack> {
  const { body = {} } = JSON.parse(parameters) as { body?: { name?: string; person?: string } };
  const { name = '', person = name } = body;
  return { operator: name, person: (await readPersonOf(reader, name)) ?? person };
}

function refusing(reason: string): Consent {
  return { answer: (_, verdict) => ({ ...verdict, reasons: [...verdict.reasons, reason] }), use: () => undefined };
}

interface GoodConsent {
  readonly decision: Decision;
  /** That the certificate is neither revoked nor held: looked at again by the commit. */
  readonly check: Batch['checks'];
}

/** Consents that were given with certificates which are neither revoked nor held: who lost theirs agreed to nothing. */
async function withGoodCertificates(
  approval: Approval,
  { certificates, reader }: Pick<ConsentParts, 'certificates' | 'reader'>,
): Promise<GoodConsent[]> {
  const good: GoodConsent[] = [];
  for (const decision of consents(approval)) {
    const row = await readCertificate(certificates, decision.serial);
    if (row === undefined || row.revoked !== undefined) continue;
    const batch: Pick<Batch, 'checks'> = { checks: [] };
    requireFree(certificates, batch as Batch, decision.serial);
    if (await anyFails(batch.checks, reader)) continue;
    await requireUnrevoked(certificates, batch as Batch, decision.serial);
    good.push({
      decision,
      check: batch.checks.map((check) => ({ ...check, refusal: 'needs_approval', reason: LOST })),
    });
  }
  return good;
}

async function anyFails(checks: Batch['checks'], reader: Reader): Promise<boolean> {
  for (const { sql, params, want } of checks) {
    if (((await reader.get(sql, params)) !== undefined) !== (want === 'present')) return true;
  }
  return false;
}

const LOST = 'The certificate of somebody who had agreed is revoked or quarantined.';
