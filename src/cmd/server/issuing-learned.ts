import { setTimeout as pause } from 'node:timers/promises';
import { LIFETIMES } from '../../ca/lifetime.ts';

/** Waits until every process knows an issuing authority that was just made; `learned` of `rotateIssuing`. */
export function issuingLearned(): Promise<void> {
  return pause(LIFETIMES.issuingLearned * 1000);
}
