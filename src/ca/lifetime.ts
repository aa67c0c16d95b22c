const DAY = 86_400;

/** Lives of authorities and lists, and when each is replaced; all in seconds. `docs/HIERARCHY.md` says why. */
export interface Lifetimes {
  readonly root: number;
  readonly intermediate: number;
  /** How long an issuing authority signs; it lives longer by the longest life that it may give. */
  readonly issuingSigns: number;
  /** How long before it takes over the next issuing authority is made. */
  readonly issuingAhead: number;
  /** How long before it takes over it is made where somebody wants the change now: processes poll every 200 ms. */
  readonly issuingLearned: number;
  /** What needs the root key is announced, or done where that is online, so long before it is due. */
  readonly announce: number;
  /** A certificate signed by an authority is recorded until so long after its successor took over. */
  readonly overlap: number;
  readonly rootCrl: number;
  readonly intermediateCrl: number;
  /** Lists about leaves; signed again at the half of it, and whenever something is revoked. */
  readonly leafCrl: number;
}

export const LIFETIMES: Lifetimes = {
  root: 3652 * DAY,
  intermediate: 1096 * DAY,
  issuingSigns: 90 * DAY,
  issuingAhead: DAY,
  issuingLearned: 1,
  announce: 60 * DAY,
  overlap: 300,
  rootCrl: 365 * DAY,
  intermediateCrl: 30 * DAY,
  leafCrl: DAY,
};
