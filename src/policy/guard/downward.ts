import { type GuardRule, isInstance, text, texts } from './rule.ts';

/** An instance stops itself and what it let in; never what is above it, beside it or elsewhere. */
export const downward: GuardRule = {
  id: 'guard.downward',
  refuse(request) {
    if (!isInstance(request)) return undefined;
    if (request.action !== 'instance.stop' && request.action !== 'certificate.revoke') return undefined;
    const own = request.caller.instance!;
    if (text(request, 'instance') === own || texts(request, 'lineage').includes(own)) return undefined;
    return 'An instance stops and revokes only itself and the instances that it let in.';
  },
};
