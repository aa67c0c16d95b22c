/**
 * The two clocks of this machine, milliseconds: the steady one stands still while the machine sleeps, the other can be
 * set. How old something is, is told by whichever has gone further.
 */
export interface MachineClock {
  readonly steady: () => number;
  /** Since the Unix epoch. */
  readonly wall: () => number;
}

export const machineClock: MachineClock = { steady: () => performance.now(), wall: () => Date.now() };
