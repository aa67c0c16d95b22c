import { type GuardRule, isInstance, number, text, texts } from './rule.ts';

/** How many generations of instances may let each other in; `registry/` reads no further. */
export const DEEPEST = 8;

/** Authority only narrows: what an instance lets in can say of itself no more than the instance can. */
export const narrower: GuardRule = {
  id: 'guard.narrower',
  refuse(request) {
    if (!isInstance(request) || request.action !== 'token.create') return undefined;
    const own = texts(request, 'callerScopes');
    if (texts(request, 'scopes').some((scope) => !own.includes(scope))) {
      return 'A token that an instance makes has no scopes that the instance does not have.';
    }
    if (text(request, 'workflow') !== text(request, 'callerWorkflow')) {
      return 'A token that an instance makes is for the workflow of the instance.';
    }
    if ((number(request, 'callerDepth') ?? DEEPEST) >= DEEPEST) {
      return `There are ${DEEPEST} generations of instances already.`;
    }
    return undefined;
  },
};
