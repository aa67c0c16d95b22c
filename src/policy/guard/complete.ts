import { shapeFault } from '../facts.ts';
import type { GuardRule } from './rule.ts';

/** First of all rules: what follows relies on every fact being there and of its type. */
export const complete: GuardRule = { id: 'guard.complete', refuse: shapeFault };
