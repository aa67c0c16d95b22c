import type { AccessRequest, Action, Verdict } from '../base/access.ts';

/** Caller id of whoever has the passphrase on the server's machine. */
export const ADMINISTRATOR = 'system:administrator';

/** What loosens, broadens or concerns everybody (DESIGN §3.7). */
const LOOSENS: ReadonlySet<Action> = new Set<Action>([
  'operator.add',
  'operator.remove',
  'group.change',
  'policy.publish',
  'profile.publish',
  'owner.restore',
  'authority.rotate',
  'authority.revoke',
  'stop.confirm',
  'stop.release',
]);

/** How many people could agree to something: by `registry/acting-people.ts`. */
export interface People {
  readonly all: number;
  readonly ofGroup: ReadonlyMap<string, number>;
  /** None of them is let in, because the authorities that certified them are stopped. */
  readonly cutOff?: boolean;
}

/** The set in force, and who could agree to anything under it. */
export interface RulesInForce {
  readonly version: number;
  readonly people?: People | undefined;
  decide(request: AccessRequest): Verdict;
}

const OFFICERS = 'ca-officers';
const EVERYBODY = 'all-operators';

/** Fewer than this many cannot keep an eye on one another; and of so many one at least is not the one who asks. */
const TWO = 2;

export function isAdministrators({ caller, action }: AccessRequest): boolean {
  return caller.kind === 'system' && caller.id === ADMINISTRATOR && LOOSENS.has(action);
}

/**
 * What the administrator may do on the server's machine; nothing where `people` could not be read. Where fewer than two people run the installation, everything,
 * since there is nobody to ask. Otherwise it takes what the set in force demands of an operator in no group, and two
 * people at least, because nobody knows who of them has the passphrase. A set that forbids it does not bind the
 * administrator, so that one which locks everybody out can be replaced: then it takes two officers. Where the group that
 * should agree has too few who could, it takes two of all operators. Where all of them are cut off with the authority that
 * certified them, nobody could agree: that authority is let go, or followed by another, on nobody's word but the administrator's,
 * who has its key anyway. Whatever else loosens waits until somebody is let in again.
 */
export function administratorVerdict(request: AccessRequest, rules: RulesInForce): Verdict {
  const { version: policyVersion, people } = rules;
  if (people === undefined) {
    const reasons = ['It is not known how many people run this installation, so it is refused.'];
    return { allowed: false, rules: ['administrator'], reasons, policyVersion };
  }
  if (people.all < TWO || bringsBack(request, people))
    return { allowed: true, rules: ['administrator.alone'], policyVersion };
  const asOperator = { kind: 'operator', id: request.caller.id, operator: '', groups: [] } as const;
  const said = rules.decide({ ...request, caller: asOperator });
  if (said.allowed) return said;
  const { count = TWO, group = OFFICERS } = said.needsApproval ?? {};
  const wanted = { count: Math.max(TWO, count), group };
  const enough = (people.ofGroup.get(group) ?? 0) >= wanted.count;
  const needsApproval = enough ? wanted : { count: TWO, group: EVERYBODY };
  return {
    allowed: false,
    needsApproval,
    rules: ['administrator'],
    reasons: [
      `${people.all} people run this installation, so the passphrase alone does not do.`,
      `It needs the consent of ${needsApproval.count} of ${needsApproval.group}.`,
    ],
    policyVersion,
  };
}

/** Whether nobody could agree to anything, and this is what ends that. */
function bringsBack({ action, context }: AccessRequest, { cutOff }: People): boolean {
  const ends = action === 'authority.rotate' || (action === 'stop.release' && context?.['kind'] === 'authority');
  return ends && cutOff === true;
}

/**
 * Whether an operator looks at, or answers, what the administrator asks consent for to put another set in force. The set
 * in force has no say in that beyond whose consent it is and how many it takes: one that errs, forbids answering or
 * cannot be read would otherwise stay until every certificate has expired. Who of the group counts, the flow knows.
 */
export function isAboutSuccessor({ caller, action, context }: AccessRequest): boolean {
  const answers = action === 'approval.decide' || action === 'approval.read';
  return caller.kind === 'operator' && answers && context?.['successor'] === true;
}
