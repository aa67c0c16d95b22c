import type { Caller } from '../base/access.ts';
import { demand } from '../base/demand.ts';
import { WritError } from '../base/error.ts';
import { newBatch } from '../db/batch.ts';
import { committed } from '../db/committed.ts';
import type { Reader } from '../db/database.ts';
import { EVERYBODY, isMember, requireMember } from '../registry/group.ts';
import { NOBODY, readPersonOf } from '../registry/person.ts';
import { type Approval, type ApprovalStatus, consents, type Decision, isOpen, successorFact } from './approval.ts';
import { type Happening, pushNotices } from './notice.ts';
import { type ApprovalParts, INSTALLATION } from './parts.ts';
import { subjectsOf } from './request.ts';
import { pushDecision, pushStatus, readApproval } from './store.ts';

/** How often it is looked again when others decide at the same time. */
const TRIES = 16;

/**
 * One person agrees or disagrees. Enough who agree grant it; one who disagrees ends it, also after it was granted, until
 * it is used. Who says the same again is answered with how it stands. Gives the approval as it is then.
 *
 * Throws `denied` for an agent, for whoever asked, and for people of other groups; `not_found`, `conflict` for what has
 * ended.
 */
export async function decideApproval(
  caller: Caller,
  target: { readonly id: string; readonly decision: Decision['decision'] },
  parts: ApprovalParts,
): Promise<Approval> {
  const { reader, clock } = parts;
  for (let tries = 0; ; tries++) {
    const now = clock.now();
    const approval = await find(reader, target.id, now);
    const context = { requested: approval.action, group: approval.group, ...successorFact(approval) };
    demand(parts.authorize, { caller, action: 'approval.decide', resource: INSTALLATION, context });
    const group = whoseDecision(approval, target.decision);
    const person = await personFor(caller, { ...approval, group }, reader);
    const before = approval.decisions.find((one) => one.person === person);
    if (before?.decision === target.decision && sameOperator(before, caller)) return approval;
    if (!isOpen(approval)) throw ended(approval);

    const decision: Decision = {
      person,
      operator: caller.operator!,
      serial: caller.serial!,
      decision: target.decision,
      at: now,
    };
    const decisions = [...approval.decisions.filter((one) => one.person !== person), decision];
    const status = await statusAfter({ ...approval, decisions }, reader);
    const after: Approval = { ...approval, decisions, status, version: approval.version + 1 };
    const batch = newBatch();
    requireMember(batch, group, person);
    pushStatus(batch, approval, status, now);
    pushDecision(batch, approval, decision);
    const subjects = subjectsOf(approval);
    const { id } = approval;
    batch.events.push({
      type: 'approval.decided',
      subjects: [...new Set([...subjects, `operator:${caller.operator}`, `person:${person}`])],
      body: { caller: caller.id, approval: id, person, decision: target.decision },
    });
    let happening: Happening = 'decided';
    if (status === 'denied') {
      happening = 'denied';
      batch.events.push({ type: 'approval.denied', subjects, body: { caller: caller.id, approval: id } });
    } else if (status === 'granted' && approval.status === 'pending') {
      happening = 'granted';
      const people = consents(after).map((one) => one.person);
      batch.events.push({ type: 'approval.granted', subjects, body: { approval: id, people } });
    }
    pushNotices(batch, happening, after, parts);
    const commit = await parts.commit(batch);
    if (commit.committed) return after;
    // Somebody else decided, or used it, at the same time: theirs came first.
    if (commit.refusal !== 'conflict' || tries === TRIES) committed(commit);
  }
}

/** Whatever would take effect by waiting, any operator stops. */
function whoseDecision({ group, recoversAt }: Approval, decision: Decision['decision']): string {
  return recoversAt !== undefined && decision === 'denied' ? EVERYBODY : group;
}

/** Throws `not_found`. */
export async function find(reader: Reader, id: string, now: number): Promise<Approval> {
  const approval = await readApproval(reader, id, now);
  if (approval !== undefined) return approval;
  throw new WritError('not_found', 'There is no approval by that id.', {
    field: '/id',
    remedy: 'List the approvals and choose one.',
  });
}

/** Whose decision it is. An agent is nobody here (the guard refuses it, too), and nobody decides for themselves. */
async function personFor(caller: Caller, approval: Approval, reader: Reader): Promise<string> {
  const person = caller.operator === undefined ? undefined : await readPersonOf(reader, caller.operator);
  if (caller.kind !== 'operator' || person === undefined || person === NOBODY || caller.serial === undefined) {
    throw denied('People alone decide about approvals.', 'Have an operator of the group decide.');
  }
  if (caller.id === approval.requester || person === approval.requesterPerson) {
    throw denied('Who asked for an approval does not decide about it.', 'Have somebody else of the group decide.');
  }
  if (!(await isMember(reader, approval.group, person))) {
    throw denied(`The decision is for ${approval.group}.`, `Have somebody of ${approval.group} decide.`);
  }
  return person;
}

function denied(message: string, remedy: string): WritError {
  return new WritError('denied', message, { remedy });
}

function sameOperator(before: Decision, { operator, serial }: Caller): boolean {
  return before.operator === operator && Buffer.compare(before.serial, serial!) === 0;
}

/** Counts those who are in the group at this moment; who uses the approval counts again. */
async function statusAfter(approval: Approval, reader: Reader): Promise<ApprovalStatus> {
  if (approval.decisions.some(({ decision }) => decision === 'denied')) return 'denied';
  if (approval.status === 'granted') return 'granted';
  let agreed = 0;
  for (const { person } of consents(approval)) if (await isMember(reader, approval.group, person)) agreed++;
  return agreed >= approval.needed ? 'granted' : 'pending';
}

export function ended({ status }: Approval): WritError {
  const how: Readonly<Record<ApprovalStatus, string>> = {
    pending: 'is open',
    granted: 'is granted',
    denied: 'was denied',
    expired: 'has expired',
    withdrawn: 'was withdrawn',
    used: 'was used, and holds once',
  };
  return new WritError('conflict', `The approval ${how[status]}.`, { remedy: 'Ask for a new one.' });
}
