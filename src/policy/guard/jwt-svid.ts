import { type GuardRule, isInstance, number, text, texts } from './rule.ts';

/** Longest life of a JWT-SVID, in seconds, whatever a rule says: it has force wherever somebody holds it. */
const LONGEST = 3600;

/** A JWT-SVID is for the instance that asks or for one that it let in itself, short-lived, and for somebody. */
export const jwtSvid: GuardRule = {
  id: 'guard.jwt-svid',
  refuse(request) {
    if (request.action !== 'jwt.issue') return undefined;
    const { caller, resource } = request;
    if (!isInstance(request)) return 'An instance gets JWT-SVIDs, and nobody in its place.';
    const [instance, parent] = [text(request, 'instance'), text(request, 'parent')];
    const ofOwnAgent =
      resource.id === caller.agent && resource.type === (caller.kind === 'agent' ? 'Agent' : 'Service');
    if (instance === caller.instance ? !ofOwnAgent : parent !== caller.instance) {
      return 'An instance gets JWT-SVIDs for itself and for the instances that it let in, and for nobody else.';
    }
    const seconds = number(request, 'lifetimeSeconds')!;
    if (seconds < 1 || seconds > LONGEST) return `A JWT-SVID lives 1 to ${LONGEST} seconds.`;
    return texts(request, 'audience').length > 0 ? undefined : 'A JWT-SVID says whom it is for.';
  },
};
