import type { AccessRequest, Caller, Verdict } from '../base/access.ts';
import { WritError } from '../base/error.ts';
import { newId } from '../base/id.ts';
import { sha256 } from '../base/sha256.ts';
import { newBatch } from '../db/batch.ts';
import { committed } from '../db/committed.ts';
import type { Idempotency } from '../http/idempotency.ts';
import { ADMINISTRATOR } from '../policy/administrator.ts';
import { countOthers } from '../registry/acting-people.ts';
import { readPersonOf } from '../registry/person.ts';
import { type Approval, LIFETIME, LONGEST_PARAMETERS, RECOVERY, recoveryMember, resourceText } from './approval.ts';
import { requireLine } from './line.ts';
import { pushNotices } from './notice.ts';
import type { ApprovalParts } from './parts.ts';
import { insertApproval, readApproval, readOpenOf } from './store.ts';

/** What consent is asked for: the very request, as policy refused it for want of an approval. */
export interface Wanted {
  readonly request: AccessRequest;
  readonly verdict: Extract<Verdict, { allowed: false }>;
  /** RFC 8785: route and all parameters. */
  readonly parameters: string;
  /** Why, for those who are asked: one line. */
  readonly reason: string;
  /** Seconds until it ends; absent: an hour. */
  readonly lifetime?: number | undefined;
  /** To take effect without consent after a while unless somebody denies it; only where people come back by that. */
  readonly recover?: boolean | undefined;
}

/**
 * Asks for the consent that policy demands for a request. The caller was authenticated, and the verdict is policy's own.
 * Who has asked for the same already, and still may have it, is given that.
 *
 * Throws `denied`, `bad_request`, `too_large`, `conflict` where the caller is gone, `rate_limited` with too many requests
 * open, and `needs_approval` where fewer people than it takes could agree at this moment.
 */
export async function requestApproval(
  caller: Caller,
  wanted: Wanted,
  parts: ApprovalParts,
  { idempotency }: { readonly idempotency?: Idempotency | undefined } = {},
): Promise<Approval> {
  const { request, verdict, parameters, reason, recover = false } = wanted;
  const { lifetime = recover ? RECOVERY.waits + RECOVERY.stands : LIFETIME.default } = wanted;
  const { needsApproval } = verdict;
  if (needsApproval === undefined || request.caller.id !== caller.id) {
    throw new WritError('internal', 'What needs no approval was asked for.');
  }
  requireLine(reason, { field: 'reason', what: 'reason' });
  if (!Number.isSafeInteger(lifetime) || lifetime < LIFETIME.least || lifetime > LIFETIME.most) {
    throw new WritError('bad_request', 'The lifetime of the approval is out of range.', {
      field: 'lifetime',
      remedy: `Give seconds from ${LIFETIME.least} to ${LIFETIME.most}.`,
    });
  }
  if (recover && !mayRecover(request, lifetime)) {
    throw new WritError('bad_request', 'That does not take effect by waiting.', {
      field: 'recover',
      remedy: `The administrator alone asks so, to add operators or take people into groups; for more than ${RECOVERY.waits} seconds.`,
    });
  }
  if (parameters.length > LONGEST_PARAMETERS) {
    throw new WritError('too_large', 'Nobody could judge a request of this size.', {
      remedy: `Ask for something that takes at most ${LONGEST_PARAMETERS} characters to say.`,
    });
  }
  const now = parts.clock.now();
  const first = await idempotency?.first();
  if (first?.kind === 'reference') return (await readApproval(parts.reader, first.reference, now))!;
  const { count: needed, group } = needsApproval;
  const open = await readOpenOf(parts.reader, caller.id, now);
  const same = open.find(
    (one) =>
      one.action === request.action &&
      one.parameters === parameters &&
      one.group === group &&
      one.needed >= needed &&
      (one.recoversAt !== undefined) === recover,
  );
  if (same !== undefined) return same;
  const requesterPerson =
    caller.operator === undefined ? '' : ((await readPersonOf(parts.reader, caller.operator)) ?? '');
  // What takes effect by waiting is for an installation that has too few.
  if (!recover) await requireEnough(request, { needed, group, except: requesterPerson, now }, parts);

  const salt = parts.random(16);
  const approval: Approval = {
    id: newId(now, parts.random),
    requester: caller.id,
    requesterPerson,
    action: request.action,
    resource: { type: request.resource.type, id: request.resource.id },
    facts: { resource: request.resource.facts ?? {}, context: request.context ?? {} },
    parameters,
    salt,
    digest: digestOf(salt, parameters),
    reason,
    rule: verdict.rules[0] ?? '',
    needed,
    group,
    policyVersion: verdict.policyVersion,
    status: 'pending',
    version: 1,
    createdAt: now,
    expiresAt: now + lifetime * 1000,
    ...(recover ? { recoversAt: now + RECOVERY.waits * 1000 } : {}),
    decisions: [],
  };
  const batch = newBatch();
  insertApproval(batch, approval);
  idempotency?.keep(batch, { kind: 'reference', reference: approval.id });
  batch.events.push({
    type: 'approval.requested',
    subjects: subjectsOf(approval),
    body: {
      caller: caller.id,
      approval: approval.id,
      action: approval.action,
      resource: resourceText(approval.resource),
      parameters_sha256: Buffer.from(approval.digest).toString('hex'),
      rule: approval.rule,
      needed,
      group,
      policy_version: approval.policyVersion,
      expires_at: new Date(approval.expiresAt).toISOString(),
      ...recoveryMember(approval),
    },
  });
  pushNotices(batch, 'requested', approval, parts);
  committed(await parts.commit(batch));
  return approval;
}

/** Refuses what could never be granted, before anybody waits for it. */
async function requireEnough(
  { action }: AccessRequest,
  { needed, ...of }: { readonly needed: number; readonly group: string; readonly except: string; readonly now: number },
  { reader }: ApprovalParts,
): Promise<void> {
  const { group } = of;
  const others = await countOthers(reader, of);
  if (others >= needed) return;
  const there = `there ${others === 1 ? 'is' : 'are'} ${others === 0 ? 'none' : others} beside whoever asks`;
  throw new WritError('needs_approval', `${action} needs ${needed} of ${group} to agree, and ${there}.`, {
    remedy: `Take more people into ${group} (writ group add ${group} NAME), or do it with --here; either on the server’s machine.`,
    approval: { needed, group },
  });
}

/** By what else than waiting could people come back? What they do then, they ask for among themselves. */
function mayRecover({ caller, action }: AccessRequest, lifetime: number): boolean {
  const comesBack = action === 'operator.add' || action === 'group.change';
  return caller.id === ADMINISTRATOR && comesBack && lifetime > RECOVERY.waits;
}

/** What the ledger has of parameters: the salt keeps what little they may hold of a person from being guessed. */
export function digestOf(salt: Uint8Array, parameters: string): Uint8Array {
  return sha256(Buffer.concat([salt, Buffer.from(parameters, 'utf8')]));
}

/** `writ trace` finds an approval under itself and under who asked. */
export function subjectsOf({ id, requester, resource }: Approval): string[] {
  const [kind, name, instance] = requester.split('/').slice(3);
  const someone = kind === undefined ? requester : `${kind}:${name}`;
  const who = instance === undefined ? someone : `instance:${instance}`;
  const about = resource.type === 'Installation' ? [] : [`${resource.type.toLowerCase()}:${resource.id}`];
  return [...new Set([`approval:${id}`, who, ...about])];
}
