import * as z from 'zod';
import { type Schema, schemaOf } from './schema.ts';
import { id, line, spiffeId, time, whole } from './text.ts';

/*
 * Shared Signals. Names of members are those of OpenID SSF 1.0 §8.1 and RFC 8936. What a receiver may send back of what
 * we told it (`iss` and the like) is taken and passed over.
 */

const PUSH = 'urn:ietf:rfc:8935';
const POLL = 'urn:ietf:rfc:8936';

const uri = z.string().min(1).max(1024);
const uris = z.array(uri).max(50);
const header = z
  .string()
  .min(1)
  .max(4096)
  .regex(/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/, 'Give a header value of printable ASCII.');

interface SignalDelivery {
  readonly method: 'urn:ietf:rfc:8935' | 'urn:ietf:rfc:8936';
  readonly endpoint_url?: string | undefined;
  /** Taken, and never shown. */
  readonly authorization_header?: string | undefined;
}

const delivery = z.strictObject({
  method: z.enum([PUSH, POLL]),
  endpoint_url: z.string().min(1).max(2048).optional(),
  authorization_header: header.optional(),
});

export interface CreateSignalStream {
  readonly aud?: string | undefined;
  readonly description?: string | undefined;
  readonly events_requested?: readonly string[] | undefined;
  readonly delivery?: SignalDelivery | undefined;
  readonly iss?: string | undefined;
  readonly events_supported?: readonly string[] | undefined;
  readonly events_delivered?: readonly string[] | undefined;
  readonly min_verification_interval?: number | undefined;
}

const said = {
  aud: uri.optional(),
  description: line.optional(),
  events_requested: uris.optional(),
  delivery: delivery.optional(),
  iss: uri.optional(),
  events_supported: uris.optional(),
  events_delivered: uris.optional(),
  min_verification_interval: z.int().optional(),
};

export const createSignalStream: Schema<CreateSignalStream> = schemaOf<CreateSignalStream>()(z.strictObject(said));

/** What is ours of a stream beside the standard. */
const ours = {
  writ_owner: spiffeId,
  writ_status: z.enum(['enabled', 'paused', 'disabled']),
  writ_delivered: z.int(),
  writ_delivered_at: time.optional(),
  writ_waiting: z.int(),
  writ_dead: z.int(),
};

/** May be a stream as it was read, with changes: what is ours of it is passed over. */
export interface ChangeSignalStream extends CreateSignalStream {
  readonly stream_id: string;
  readonly writ_owner?: string | undefined;
  readonly writ_status?: 'enabled' | 'paused' | 'disabled' | undefined;
  readonly writ_delivered?: number | undefined;
  readonly writ_delivered_at?: string | undefined;
  readonly writ_waiting?: number | undefined;
  readonly writ_dead?: number | undefined;
}

export const changeSignalStream: Schema<ChangeSignalStream> = schemaOf<ChangeSignalStream>()(
  z.strictObject({ ...said, ...z.object(ours).partial().shape, stream_id: id }),
);

/** A stream as its receiver sees it; what begins with `writ_` is ours beside the standard. */
export interface SignalStream {
  readonly stream_id: string;
  readonly iss: string;
  readonly aud: string;
  readonly events_supported: readonly string[];
  readonly events_requested?: readonly string[] | undefined;
  readonly events_delivered: readonly string[];
  readonly delivery: { readonly method: SignalDelivery['method']; readonly endpoint_url: string };
  readonly min_verification_interval: number;
  readonly description?: string | undefined;
  readonly writ_owner: string;
  readonly writ_status: 'enabled' | 'paused' | 'disabled';
  readonly writ_delivered: number;
  readonly writ_delivered_at?: string | undefined;
  readonly writ_waiting: number;
  readonly writ_dead: number;
}

export const signalStream: Schema<SignalStream> = schemaOf<SignalStream>()(
  z.strictObject({
    stream_id: id,
    iss: uri,
    aud: uri,
    events_supported: uris,
    events_requested: uris.optional(),
    events_delivered: uris,
    delivery: z.strictObject({ method: z.enum([PUSH, POLL]), endpoint_url: z.string().max(2048) }),
    min_verification_interval: z.int(),
    description: line.optional(),
    ...ours,
  }),
);

/** One stream where the query names it, else a list of them (SSF 1.0 §8.1.1.2). */
export type SignalStreams = SignalStream | readonly SignalStream[];

export const signalStreams: Schema<SignalStreams> = z.union([
  signalStream,
  z.array(signalStream).max(100),
]) as unknown as Schema<SignalStreams>;

export interface SignalStreamQuery {
  readonly stream_id?: string | undefined;
}

export const signalStreamQuery: Schema<SignalStreamQuery> = schemaOf<SignalStreamQuery>()(
  z.strictObject({ stream_id: id.optional() }),
);

export interface OneSignalStreamQuery {
  readonly stream_id: string;
}

export const oneSignalStreamQuery: Schema<OneSignalStreamQuery> = schemaOf<OneSignalStreamQuery>()(
  z.strictObject({ stream_id: id }),
);

export interface SignalStatus {
  readonly stream_id: string;
  readonly status: 'enabled' | 'paused' | 'disabled';
  readonly reason?: string | undefined;
}

export const signalStatus: Schema<SignalStatus> = schemaOf<SignalStatus>()(
  z.strictObject({ stream_id: id, status: z.enum(['enabled', 'paused', 'disabled']), reason: line.optional() }),
);

export interface VerifySignalStream {
  readonly stream_id: string;
  readonly state?: string | undefined;
}

export const verifySignalStream: Schema<VerifySignalStream> = schemaOf<VerifySignalStream>()(
  z.strictObject({ stream_id: id, state: z.string().max(1024).optional() }),
);

const jti = z.string().min(1).max(256);

export interface PollSignals {
  readonly maxEvents?: number | undefined;
  readonly returnImmediately?: boolean | undefined;
  readonly ack?: readonly string[] | undefined;
  readonly setErrs?:
    | Readonly<Record<string, { readonly err: string; readonly description?: string | undefined }>>
    | undefined;
}

export const pollSignals: Schema<PollSignals> = schemaOf<PollSignals>()(
  z.strictObject({
    maxEvents: z.int().min(0).max(1_000_000).optional(),
    returnImmediately: z.boolean().optional(),
    ack: z.array(jti).max(1000).optional(),
    setErrs: z
      .record(
        jti,
        z.strictObject({
          err: z.string().regex(/^[A-Za-z_]{1,64}$/, 'Give a code like invalid_key.'),
          description: z.string().max(4096).optional(),
        }),
      )
      .refine((all) => Object.keys(all).length <= 1000, 'Give at most 1000 errors at once.')
      .optional(),
  }),
);

export interface PolledSignals {
  readonly sets: Readonly<Record<string, string>>;
  readonly moreAvailable: boolean;
}

export const polledSignals: Schema<PolledSignals> = schemaOf<PolledSignals>()(
  z.strictObject({ sets: z.record(z.string().max(256), z.string().max(65_536)), moreAvailable: z.boolean() }),
);

/** What a SET that could not be delivered was about, and why not. */
export interface DeadSignal {
  readonly stream_id: string;
  readonly number: number;
  readonly jti: string;
  readonly events: readonly string[];
  readonly attempts: number;
  readonly fault: string;
  readonly created_at: string;
}

export interface DeadSignals {
  readonly items: readonly DeadSignal[];
}

export const deadSignals: Schema<DeadSignals> = schemaOf<DeadSignals>()(
  z.strictObject({
    items: z
      .array(
        z.strictObject({
          stream_id: id,
          number: z.int(),
          jti,
          events: uris,
          attempts: z.int(),
          fault: line,
          created_at: time,
        }),
      )
      .max(200),
  }),
);

export interface DeadSignalsQuery {
  /** Go on behind this one, as `<stream id>.<number>`. */
  readonly after?: string | undefined;
  readonly limit?: number | undefined;
}

export const deadSignalsQuery: Schema<DeadSignalsQuery> = schemaOf<DeadSignalsQuery>()(
  z.strictObject({
    after: z
      .string()
      .regex(/^[0-7][0-9a-hjkmnp-tv-z]{25}\.\d{1,15}$/, 'Give stream id and number of the last one, like ID.12.')
      .optional(),
    limit: whole(1, 200).optional(),
  }),
);

export interface RotateSignalKey {
  /** The new key signs at once, and those before are published no more: for one that was stolen. */
  readonly at_once?: boolean | undefined;
}

export const rotateSignalKey: Schema<RotateSignalKey> = schemaOf<RotateSignalKey>()(
  z.strictObject({ at_once: z.boolean().optional() }),
);

export interface RotatedSignalKey {
  readonly kid: string;
  readonly algorithm: 'ES256' | 'RS256';
  /** Until then the one before signs. */
  readonly signs_from: string;
}

export const rotatedSignalKey: Schema<RotatedSignalKey> = schemaOf<RotatedSignalKey>()(
  z.strictObject({ kid: z.string().max(256), algorithm: z.enum(['ES256', 'RS256']), signs_from: time }),
);
