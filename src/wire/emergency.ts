import * as z from 'zod';
import { PAGE_MEMBERS, type Page, type PageQuery, pageOf } from './page.ts';
import { type Schema, schemaOf } from './schema.ts';
import { id, name, time } from './text.ts';

const line = z
  .string()
  .min(1)
  .max(512)
  .regex(/^\S[^\n\r]*$/);

const KINDS = ['break-glass', 'recovery'] as const;
const STATES = ['in_force', 'unreviewed', 'reviewed'] as const;

/** What took place outside the usual way, and whether somebody has looked at it. */
export interface Emergency {
  readonly id: string;
  /** `recovery`: an act of the administrator that took effect after the waiting time, without consent. */
  readonly kind: (typeof KINDS)[number];
  readonly state: (typeof STATES)[number];
  readonly operator: string;
  readonly person: string;
  readonly purpose: string;
  readonly approval: string;
  /** Who agreed. */
  readonly people: readonly string[];
  readonly began_at: string;
  /** From then on it is over. */
  readonly ends_at: string;
  readonly reviewed_at?: string;
  readonly reviewed_by?: string;
  readonly note?: string;
}

const text = z.string().max(255);

export const emergency: Schema<Emergency> = schemaOf<Emergency>()(
  z.strictObject({
    id,
    kind: z.enum(KINDS),
    state: z.enum(STATES),
    operator: text,
    person: text,
    purpose: z.string().max(512),
    approval: id,
    people: z.array(name).max(100),
    began_at: time,
    ends_at: time,
    reviewed_at: time.exactOptional(),
    reviewed_by: name.exactOptional(),
    note: z.string().max(512).exactOptional(),
  }),
);

export const emergencyPage: Schema<Page<Emergency>> = pageOf(emergency);

export interface EmergencyQuery extends PageQuery {
  /** `unreviewed`: those alone that nobody has reviewed, in force or over. */
  readonly state?: 'unreviewed';
}

export const emergencyQuery: Schema<EmergencyQuery> = schemaOf<EmergencyQuery>()(
  z.strictObject({ state: z.literal('unreviewed').exactOptional(), ...PAGE_MEMBERS }),
);

/** Asks for emergency access, or begins it with the approval. */
export interface BeginEmergency {
  /** For those who are asked, and for the review: one line. */
  readonly purpose: string;
  /** 1800 unless said otherwise. */
  readonly seconds?: number;
}

export const beginEmergency: Schema<BeginEmergency> = schemaOf<BeginEmergency>()(
  z.strictObject({ purpose: line, seconds: z.int().min(1).max(1800).exactOptional() }),
);

export interface ReviewEmergency {
  /** What was found: one line. */
  readonly note: string;
}

export const reviewEmergency: Schema<ReviewEmergency> = schemaOf<ReviewEmergency>()(z.strictObject({ note: line }));
