import * as z from 'zod';
import { type Schema, schemaOf } from './schema.ts';
import { name, serial, time } from './text.ts';

/** Somebody who runs the authority. */
export interface Operator {
  readonly name: string;
  readonly status: 'active' | 'removed';
  readonly created_at: string;
  readonly removed_at?: string;
  /** Of its unexpired certificates. */
  readonly serials: readonly string[];
}

export const operator: Schema<Operator> = schemaOf<Operator>()(
  z.strictObject({
    name,
    status: z.enum(['active', 'removed']),
    created_at: time,
    removed_at: time.exactOptional(),
    serials: z.array(serial).max(1000),
  }),
);

export interface OperatorList {
  readonly items: readonly Operator[];
}

export const operatorList: Schema<OperatorList> = schemaOf<OperatorList>()(
  z.strictObject({ items: z.array(operator).max(1000) }),
);
