import * as z from 'zod';
import { type Schema, schemaOf } from './schema.ts';
import { csr, name, serial, time } from './text.ts';

/** Somebody who runs the authority. */
export interface Operator {
  readonly name: string;
  /** Whose credential it is; absent: a program's. */
  readonly person?: string;
  readonly status: 'active' | 'removed';
  readonly created_at: string;
  readonly removed_at?: string;
  /** Of its unexpired certificates. */
  readonly serials: readonly string[];
}

export const operator: Schema<Operator> = schemaOf<Operator>()(
  z.strictObject({
    name,
    person: name.exactOptional(),
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

/** Adds an operator, with the certificate request of the credential. */
export interface AddOperator {
  readonly name: string;
  readonly csr: string;
  /** Whose credential it is; absent: somebody's by the same name. */
  readonly person?: string;
  /** Of somebody new. Never in the ledger but as a salted hash. */
  readonly email?: string;
}

export const addOperator: Schema<AddOperator> = schemaOf<AddOperator>()(
  z.strictObject({ name, csr, person: name.exactOptional(), email: z.string().min(3).max(320).exactOptional() }),
);
