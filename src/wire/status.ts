import * as z from 'zod';
import { type Schema, schemaOf } from './schema.ts';
import { name, serial } from './text.ts';

/** The process answers. */
export interface Health {
  readonly status: 'ok';
}

export const health: Schema<Health> = schemaOf<Health>()(z.strictObject({ status: z.literal('ok') }));

/** Whether certificates can be issued, and which parts are needed for it. */
export interface Readiness {
  readonly status: 'ready' | 'not_ready';
  readonly parts: readonly { readonly name: string; readonly ready: boolean }[];
}

export const readiness: Schema<Readiness> = schemaOf<Readiness>()(
  z.strictObject({
    status: z.enum(['ready', 'not_ready']),
    parts: z.array(z.strictObject({ name: z.string().max(64), ready: z.boolean() })).max(32),
  }),
);

export interface Version {
  /** Of the program. */
  readonly version: string;
  /** Of this interface. */
  readonly api: 'v1';
  readonly trust_domain: string;
}

export const version: Schema<Version> = schemaOf<Version>()(
  z.strictObject({ version: z.string().max(64), api: z.literal('v1'), trust_domain: z.string().max(255) }),
);

/** Who the server takes the caller for. */
export interface Whoami {
  readonly kind: 'operator' | 'agent' | 'service';
  readonly spiffe_id: string;
  /** Of the operator, agent or service. */
  readonly name: string;
  readonly instance?: string;
  readonly serial?: string;
}

export const whoami: Schema<Whoami> = schemaOf<Whoami>()(
  z.strictObject({
    kind: z.enum(['operator', 'agent', 'service']),
    spiffe_id: z.string().max(2048),
    name,
    instance: z.string().max(26).exactOptional(),
    serial: serial.exactOptional(),
  }),
);
