import * as z from 'zod';
import { type Schema, schemaOf } from './schema.ts';
import { time } from './text.ts';

/*
 * Whom a node refused by itself, as it tells its server for the ledger.
 */

/** Why a caller of a node gets nothing, as far as the node alone knows. Words on the ledger never change. */
const FAULTS = {
  ended: 'The process that connected has ended.',
  'id-taken': 'The process that connected has ended, and another has its id.',
  'handed-over': 'The process that connected has ended, and another goes on with its connection.',
  'other-namespace': 'The process cannot be seen from here.',
  unreadable: 'The node could not find out what the process is.',
  'no-entry': 'No registration entry matches the process.',
  'not-its-identity': 'The process asked for an identity that it does not have.',
} as const;

export type WorkloadFault = keyof typeof FAULTS;

export interface WorkloadRefusal {
  readonly fault: WorkloadFault;
  /** Whose process it was as it connected. Absent: those of several users are one number. */
  readonly uid?: number;
  /** Path of the program, where that was seen. */
  readonly program?: string;
  readonly count: number;
  /** When the first of them was refused, by the clock of the node. */
  readonly since: string;
}

/** What a node tells at once. */
export const MOST_REFUSALS = 64;

export interface RefusedWorkloads {
  readonly refusals: readonly WorkloadRefusal[];
}

const refusal = z.strictObject({
  fault: z.enum(Object.keys(FAULTS) as [WorkloadFault, ...WorkloadFault[]]),
  uid: z.int().min(0).max(4_294_967_295).exactOptional(),
  program: z
    .string()
    .max(1024)
    .regex(/^\/\P{Cc}*$/u, 'Give an absolute path of one line.')
    .exactOptional(),
  count: z.int().min(1),
  since: time,
});

export const refusedWorkloads: Schema<RefusedWorkloads> = schemaOf<RefusedWorkloads>()(
  z.strictObject({ refusals: z.array(refusal).min(1).max(MOST_REFUSALS) }),
);

export interface RecordedRefusals {
  /** Entries of the ledger. */
  readonly recorded: number;
}

export const recordedRefusals: Schema<RecordedRefusals> = schemaOf<RecordedRefusals>()(
  z.strictObject({ recorded: z.int().min(0) }),
);
