import * as z from 'zod';
import { PAGE_MEMBERS, type Page, type PageQuery, pageOf } from './page.ts';
import { type Schema, schemaOf } from './schema.ts';
import { id, time } from './text.ts';

const KINDS = ['certificate', 'instance', 'parent', 'agent', 'owner', 'label', 'authority'] as const;
const STATES = ['planned', 'quarantined', 'revoking', 'revoked', 'released'] as const;

/** What is stopped, and its name there: a serial number, an instance id, a name, a team, `key=value`, an authority's id. */
export interface StopTarget {
  readonly kind: (typeof KINDS)[number];
  readonly name: string;
}

const target = z.strictObject({ kind: z.enum(KINDS), name: z.string().min(1).max(320) });
const mode = z.enum(['quarantine', 'revocation']);
const cause = z.string().min(1).max(64);

/** Pulls the cord. */
export interface CreateStop {
  readonly target: StopTarget;
  readonly cause?: string;
  readonly reason?: string;
  /** `revocation`, for ever, unless said otherwise. */
  readonly mode?: 'quarantine' | 'revocation';
  readonly evidence?: string;
  /** Do nothing, and say what would fall. */
  readonly dry_run?: boolean;
}

export const createStop: Schema<CreateStop> = schemaOf<CreateStop>()(
  z.strictObject({
    target,
    cause: cause.describe('Why, e.g. session_replay or owner_withdrawn.').exactOptional(),
    reason: cause.describe('CRLReason of RFC 5280 in place of a cause.').exactOptional(),
    mode: mode.exactOptional(),
    evidence: z.string().min(1).max(1024).describe('Link to what it rests on. Stands in the ledger.').exactOptional(),
    dry_run: z.boolean().exactOptional(),
  }),
);

/** What a stop would reach, by name. */
interface Falls {
  readonly agents: readonly string[];
  readonly instances: readonly string[];
  readonly certificates: readonly string[];
  /** Join tokens that would let nobody in any more. */
  readonly tokens: readonly string[];
  /** Registration entries by which nobody would come in any more. */
  readonly entries: readonly string[];
  /** It would be a quarantine until another person confirms it. */
  readonly needs_second_person: boolean;
}

/** One pull of the cord and what became of it; in a dry run what would. */
export interface Stop {
  /** Absent in a dry run. */
  readonly id?: string;
  readonly target: StopTarget;
  readonly state: (typeof STATES)[number];
  readonly cause: string;
  readonly stopped_by: string;
  /** The rules that allowed it. */
  readonly authority: readonly string[];
  readonly evidence?: string;
  readonly stopped_at: string;
  /** Certificates are still being marked; everything is held all the same. */
  readonly marking: boolean;
  /** Somebody asked that it be for ever, and another person is to confirm that. */
  readonly awaits_second_person: boolean;
  readonly revocation_by?: string;
  readonly confirmed_by?: string;
  readonly confirmed_at?: string;
  readonly released_by?: string;
  readonly released_at?: string;
  readonly falls?: Falls;
}

/** Why something fell: who stopped it, or what it hangs on. */
export interface StopOrigin {
  /** Absent where nothing else was stopped with it. */
  readonly stop?: { readonly id: string; readonly target: StopTarget };
  readonly stopped_by: string;
  /** The rules that allowed it. */
  readonly authority: readonly string[];
  readonly cause: string;
  readonly evidence?: string;
  /** The other person who made it one for ever. */
  readonly confirmed_by?: string;
}

export const stopOrigin: Schema<StopOrigin> = schemaOf<StopOrigin>()(
  z.strictObject({
    stop: z.strictObject({ id, target }).exactOptional(),
    stopped_by: z.string().max(2048),
    authority: z.array(z.string().max(255)).max(64),
    cause: z.string().max(64),
    evidence: z.string().max(1024).exactOptional(),
    confirmed_by: z.string().max(2048).exactOptional(),
  }),
);

const names = z.array(z.string().max(63)).max(1_000_000);

export const stopRecord: Schema<Stop> = schemaOf<Stop>()(
  z.strictObject({
    id: id.exactOptional(),
    target,
    state: z.enum(STATES),
    cause: z.string().max(64),
    stopped_by: z.string().max(2048),
    authority: z.array(z.string().max(255)).max(64),
    evidence: z.string().max(1024).exactOptional(),
    stopped_at: time,
    marking: z.boolean(),
    awaits_second_person: z.boolean(),
    revocation_by: z.string().max(2048).exactOptional(),
    confirmed_by: z.string().max(2048).exactOptional(),
    confirmed_at: time.exactOptional(),
    released_by: z.string().max(2048).exactOptional(),
    released_at: time.exactOptional(),
    falls: z
      .strictObject({
        agents: names,
        instances: names,
        certificates: names,
        tokens: names,
        entries: names,
        needs_second_person: z.boolean(),
      })
      .exactOptional(),
  }),
);

export const stopPage: Schema<Page<Stop>> = pageOf(stopRecord);

export interface StopQuery extends PageQuery {
  readonly state?: 'quarantined' | 'revoking' | 'revoked' | 'released';
}

export const stopQuery: Schema<StopQuery> = schemaOf<StopQuery>()(
  z.strictObject({
    state: z.enum(['quarantined', 'revoking', 'revoked', 'released']).exactOptional(),
    ...PAGE_MEMBERS,
  }),
);
