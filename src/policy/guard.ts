import type { AccessRequest } from '../base/access.ts';
import { active } from './guard/active.ts';
import { breakGlass } from './guard/break-glass.ts';
import { byEntry } from './guard/by-entry.ts';
import { complete } from './guard/complete.ts';
import { downward } from './guard/downward.ts';
import { identified } from './guard/identified.ts';
import { jwtSvid } from './guard/jwt-svid.ts';
import { lifetime } from './guard/lifetime.ts';
import { names } from './guard/names.ts';
import { narrower } from './guard/narrower.ts';
import { operatorsOnly } from './guard/operators-only.ts';
import { ownAffairs } from './guard/own-affairs.ts';
import { profileOfKind } from './guard/profile-of-kind.ts';
import type { GuardLimits, GuardRule } from './guard/rule.ts';
import { secondPerson } from './guard/second-person.ts';
import { signals } from './guard/signals.ts';

interface Refusal {
  readonly rule: string;
  readonly sentence: string;
}

/** Says what no policy set can allow; undefined when the policy set is to decide. */
export type Guard = (request: AccessRequest) => Refusal | undefined;

/** The fixed rules for an installation, in the order in which they are asked: `guard.complete` makes the rest safe. */
export function createGuard(limits: GuardLimits): Guard {
  const rules: readonly GuardRule[] = [
    complete,
    identified,
    signals,
    operatorsOnly,
    ownAffairs,
    downward,
    secondPerson,
    breakGlass,
    narrower,
    byEntry,
    active,
    profileOfKind,
    lifetime,
    jwtSvid,
    names(limits),
  ];
  return (request) => {
    for (const rule of rules) {
      const sentence = rule.refuse(request);
      if (sentence !== undefined) return { rule: rule.id, sentence };
    }
    return undefined;
  };
}
