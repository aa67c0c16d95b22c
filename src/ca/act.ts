/** When something is done, and by whom: the id of a `Caller`, e.g. `system:rotation`. */
export interface Act {
  /** Milliseconds. */
  readonly now: number;
  readonly caller: string;
}
