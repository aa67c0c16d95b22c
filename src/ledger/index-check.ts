import type { RecordedEvent } from './entry.ts';

/** Takes one finding: what it is about (`entry 17`, `tile 0/3`, `certificate`) and what is wrong with it. */
export type Report = (where: string, what: string) => void;

/**
 * Says whether the tables of one capability agree with the log. Each capability that owns tables brings its own (by
 * shape: folders of one row do not import each other); `cmd/` hands them to `verifyLedger`. A check lives for one
 * verification and may keep counts, but nothing that grows with the log.
 */
export interface IndexCheck {
  readonly name: string;
  /** Gets every entry of the log once, in order, at most 256 at a time. Those that cannot be read are left out. */
  entries(events: readonly RecordedEvent[], report: Report): Promise<void>;
  /** After the last entry: what must hold of the whole, such as the number of rows. */
  finish(report: Report): Promise<void>;
}
