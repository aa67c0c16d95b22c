import * as z from 'zod';
import { PAGE_MEMBERS, type Page, type PageQuery, pageOf } from './page.ts';
import { type Schema, schemaOf } from './schema.ts';
import { type StopOrigin, stopOrigin } from './stop.ts';
import { flag, time, whole } from './text.ts';

/** One entry of the ledger. */
export interface LedgerEntry {
  readonly index: number;
  readonly type: string;
  readonly time: string;
  readonly subjects: readonly string[];
  readonly body: Readonly<Record<string, unknown>>;
  /** tlog-proof of this entry, which verifies offline; where it was asked for. */
  readonly receipt?: string;
  /** In a trace, of what fell with something else. */
  readonly stopped?: StopOrigin;
}

export const ledgerEntry: Schema<LedgerEntry> = schemaOf<LedgerEntry>()(
  z.strictObject({
    index: z.int().min(0),
    type: z.string().max(64),
    time,
    subjects: z.array(z.string().max(300)).max(100),
    body: z.record(z.string().max(255), z.unknown()),
    receipt: z.string().max(65_536).exactOptional(),
    stopped: stopOrigin.exactOptional(),
  }),
);

export const ledgerPage: Schema<Page<LedgerEntry>> = pageOf(ledgerEntry);

export interface LedgerQuery extends PageQuery {
  /** `kind:id`, e.g. `agent:planner` or `instance:01k…`. */
  readonly subject?: string;
  /** Index of the first entry. */
  readonly from?: number;
}

export const ledgerQuery: Schema<LedgerQuery> = schemaOf<LedgerQuery>()(
  z.strictObject({
    subject: z
      .string()
      .regex(/^[a-z]+:.{1,255}$/, 'Give kind:id, like agent:planner.')
      .max(300)
      .exactOptional(),
    from: whole(0, Number.MAX_SAFE_INTEGER).exactOptional(),
    ...PAGE_MEMBERS,
  }),
);

export interface TraceQuery extends PageQuery {
  readonly receipts?: boolean;
}

export const traceQuery: Schema<TraceQuery> = schemaOf<TraceQuery>()(
  z.strictObject({ receipts: flag.exactOptional(), ...PAGE_MEMBERS }),
);
