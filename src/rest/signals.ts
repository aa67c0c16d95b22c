import type { Caller } from '../base/access.ts';
import type { Reply } from '../http/route.ts';
import { byId } from '../wire/path.ts';
import {
  type ChangeSignalStream,
  type CreateSignalStream,
  changeSignalStream,
  createSignalStream,
  type DeadSignal,
  deadSignals,
  deadSignalsQuery,
  oneSignalStreamQuery,
  type PolledSignals,
  type PollSignals,
  polledSignals,
  pollSignals,
  type RotatedSignalKey,
  type RotateSignalKey,
  rotatedSignalKey,
  rotateSignalKey,
  type SignalStatus,
  type SignalStream,
  signalStatus,
  signalStream,
  signalStreamQuery,
  signalStreams,
  type VerifySignalStream,
  verifySignalStream,
} from '../wire/signal.ts';
import { type Nothing, type Operation, operation, type RawBody, type WriteOptions } from './operation.ts';

/** What the routes of Shared Signals need. Each that takes a caller asks policy. */
export interface Signals {
  /** The transmitter's metadata and keys, as JSON. */
  configuration(): Promise<object>;
  keys(): Promise<{ readonly keys: readonly object[] }>;
  create(caller: Caller, input: CreateSignalStream, options: WriteOptions): Promise<SignalStream>;
  list(caller: Caller): Promise<readonly SignalStream[]>;
  show(caller: Caller, id: string): Promise<SignalStream>;
  change(caller: Caller, input: ChangeSignalStream, how: 'patch' | 'replace'): Promise<SignalStream>;
  remove(caller: Caller, id: string, options: WriteOptions): Promise<void>;
  setStatus(caller: Caller, wanted: SignalStatus): Promise<SignalStatus>;
  status(caller: Caller, id: string): Promise<SignalStatus>;
  verify(caller: Caller, wanted: VerifySignalStream): Promise<void>;
  poll(caller: Caller, id: string, request: PollSignals): Promise<PolledSignals>;
  dead(
    caller: Caller,
    from: { readonly after: { readonly stream: string; readonly number: number }; readonly limit: number },
  ): Promise<readonly DeadSignal[]>;
  retry(caller: Caller, id: string): Promise<SignalStream>;
  rotateKey(caller: Caller, wanted: RotateSignalKey, options: WriteOptions): Promise<RotatedSignalKey>;
  /** Takes one SET of somebody else's. `err` and `description` are those of RFC 8935 §2.4. */
  receive(
    token: string,
    authorization: string,
  ): Promise<{ readonly ok: true } | { readonly ok: false; readonly err: string; readonly description: string }>;
}

/** The header that a receiver wants to see. */
function holdsSecret({ delivery }: Pick<ChangeSignalStream, 'delivery'>): boolean {
  return delivery?.authorization_header !== undefined;
}

const NO_CONTENT: Reply = { status: 204, body: '' };
const SET_TYPE = 'application/secevent+jwt';
/** RFC 8936 §2.4: a poll acknowledges many SETs in one body. */
const POLL_LIMIT = 512 * 1024;

export function signalOperations(signals: Signals): Operation[] {
  return [
    ...documents(signals),
    ...streams(signals),
    ...delivery(signals),
    operation<Nothing, Nothing, RawBody, Reply>({
      id: 'receiveSignal',
      method: 'POST',
      path: '/v1/signals',
      access: 'public',
      summary: 'Takes a security event token of a configured issuer (RFC 8935); it can quarantine and nothing else.',
      rawBody: SET_TYPE,
      raw: NOTHING_TYPE,
      status: 202,
      async handle({ body: { text, authorization } }) {
        const received = await signals.receive(text, authorization);
        if (received.ok) return { status: 202, body: '' };
        const { err, description } = received;
        // RFC 8935 §2.3: 400 also for a transmitter that nobody knows, and the language of the description.
        return { status: 400, body: JSON.stringify({ err, description }), headers: ['Content-Language', 'en'] };
      },
    }),
  ];
}

/** Of an answer without a body. */
const NOTHING_TYPE = 'application/json';

function documents(signals: Signals): Operation[] {
  const CACHE = 'public, max-age=300';
  return [
    operation<Nothing, Nothing, Nothing, Reply>({
      id: 'getSignalConfiguration',
      method: 'GET',
      path: '/.well-known/ssf-configuration',
      access: 'public',
      summary: 'What this transmitter of Shared Signals can, and where (OpenID SSF 1.0 §7).',
      raw: 'application/json',
      handle: async () => ({ status: 200, body: JSON.stringify(await signals.configuration()), cache: CACHE }),
    }),
    operation<Nothing, Nothing, Nothing, Reply>({
      id: 'getSignalKeys',
      method: 'GET',
      path: '/v1/signals/jwks.json',
      access: 'public',
      summary: 'The keys by which its security event tokens are verified, a JWK Set.',
      raw: 'application/json',
      async handle() {
        const set = await signals.keys();
        // The key is made with the first stream: nobody is to remember that there was none.
        return { status: 200, body: JSON.stringify(set), ...(set.keys.length === 0 ? {} : { cache: CACHE }) };
      },
    }),
  ];
}

function streams(signals: Signals): Operation[] {
  const change = (id: string, method: 'PATCH' | 'PUT', how: 'patch' | 'replace', summary: string): Operation =>
    operation({
      id,
      method,
      path: '/v1/signals/streams',
      access: 'caller',
      action: 'signal.manage',
      summary,
      body: changeSignalStream,
      holdsSecret,
      answer: signalStream,
      example: { body: { stream_id: EXAMPLE.stream_id, description: 'The gateway at the edge' }, answer: EXAMPLE },
      handle: ({ caller, body }) => signals.change(caller, body, how),
    });
  return [
    operation({
      id: 'createSignalStream',
      method: 'POST',
      path: '/v1/signals/streams',
      access: 'caller',
      action: 'signal.manage',
      summary: 'Makes a stream over which its receiver is told of stops.',
      body: createSignalStream,
      holdsSecret,
      status: 201,
      answer: signalStream,
      example: {
        body: {
          delivery: { method: 'urn:ietf:rfc:8935', endpoint_url: 'https://receiver.example.com/events' },
          description: 'The gateway at the edge',
        },
        answer: EXAMPLE,
      },
      handle: ({ caller, body, idempotency }) => signals.create(caller, body, { idempotency }),
    }),
    operation({
      id: 'getSignalStreams',
      method: 'GET',
      path: '/v1/signals/streams',
      access: 'caller',
      action: 'signal.read',
      summary: 'One stream, or all that the caller may see.',
      query: signalStreamQuery,
      answer: signalStreams,
      handle: ({ caller, query: { stream_id: id } }) =>
        id === undefined ? signals.list(caller) : signals.show(caller, id),
    }),
    change('changeSignalStream', 'PATCH', 'patch', 'Changes what is given of a stream.'),
    change('replaceSignalStream', 'PUT', 'replace', 'Changes all that a receiver says of a stream.'),
    operation({
      id: 'deleteSignalStream',
      method: 'DELETE',
      path: '/v1/signals/streams',
      access: 'caller',
      action: 'signal.manage',
      summary: 'Ends a stream, with all that waits in it.',
      query: oneSignalStreamQuery,
      raw: NOTHING_TYPE,
      status: 204,
      async handle({ caller, query, idempotency }) {
        await signals.remove(caller, query.stream_id, { idempotency });
        return NO_CONTENT;
      },
    }),
    operation({
      id: 'getSignalStatus',
      method: 'GET',
      path: '/v1/signals/status',
      access: 'caller',
      action: 'signal.read',
      summary: 'Whether a stream is enabled, paused or disabled.',
      query: oneSignalStreamQuery,
      answer: signalStatus,
      handle: ({ caller, query }) => signals.status(caller, query.stream_id),
    }),
    operation({
      id: 'setSignalStatus',
      method: 'POST',
      path: '/v1/signals/status',
      access: 'caller',
      action: 'signal.manage',
      summary: 'Enables, pauses (events are held) or disables (events are dropped) a stream.',
      body: signalStatus,
      answer: signalStatus,
      example: { body: PAUSED, answer: PAUSED },
      handle: ({ caller, body }) => signals.setStatus(caller, body),
    }),
  ];
}

function delivery(signals: Signals): Operation[] {
  return [
    operation({
      id: 'verifySignalStream',
      method: 'POST',
      path: '/v1/signals/verify',
      access: 'caller',
      action: 'signal.manage',
      summary: 'Has a verification event sent over a stream.',
      body: verifySignalStream,
      example: { body: { stream_id: EXAMPLE.stream_id, state: 'VGhpcyBpcyBh' } },
      raw: NOTHING_TYPE,
      status: 204,
      async handle({ caller, body }) {
        await signals.verify(caller, body);
        return NO_CONTENT;
      },
    }),
    operation({
      id: 'pollSignals',
      method: 'POST',
      path: '/v1/signals/poll/{id}',
      access: 'caller',
      action: 'signal.read',
      summary: 'Acknowledges tokens and gives those that wait (RFC 8936).',
      params: byId,
      body: pollSignals,
      bodyLimit: POLL_LIMIT,
      answer: polledSignals,
      example: {
        body: { returnImmediately: true, maxEvents: 20, ack: ['01jd0000000000000000000000.7.0'] },
        answer: { sets: { '01jd0000000000000000000000.8.0': 'eyJhbGciOiJFUzI1NiJ9.e30.c2ln' }, moreAvailable: false },
      },
      handle: ({ caller, params, body }) => signals.poll(caller, params.id, body),
    }),
    operation({
      id: 'listDeadSignals',
      method: 'GET',
      path: '/v1/signals/dead-letters',
      access: 'caller',
      action: 'signal.read',
      summary: 'Tokens that could not be delivered, and why.',
      query: deadSignalsQuery,
      answer: deadSignals,
      async handle({ caller, query: { after = '.0', limit = 50 } }) {
        const [stream = '', number] = after.split('.');
        return { items: [...(await signals.dead(caller, { after: { stream, number: Number(number) }, limit }))] };
      },
    }),
    operation({
      id: 'retrySignalStream',
      method: 'POST',
      path: '/v1/signals/streams/{id}/retry',
      access: 'caller',
      action: 'signal.manage',
      summary: 'Has everything tried again that could not be delivered over a stream.',
      params: byId,
      answer: signalStream,
      handle: ({ caller, params }) => signals.retry(caller, params.id),
    }),
    operation({
      id: 'rotateSignalKey',
      method: 'POST',
      path: '/v1/signals/rotate-key',
      access: 'caller',
      action: 'signal.manage',
      summary: 'Has another key follow the one that signs security event tokens.',
      body: rotateSignalKey,
      answer: rotatedSignalKey,
      example: {
        body: {},
        answer: {
          kid: 'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs',
          algorithm: 'ES256',
          signs_from: '2026-01-01T12:00:00.000Z',
        },
      },
      handle: ({ caller, body, idempotency }) => signals.rotateKey(caller, body, { idempotency }),
    }),
  ];
}

const EXAMPLE: SignalStream = {
  stream_id: '01jd0000000000000000000000',
  iss: 'https://writ.example.com:8443',
  aud: 'https://receiver.example.com/events',
  events_supported: ['https://schemas.openid.net/secevent/caep/event-type/session-revoked'],
  events_delivered: ['https://schemas.openid.net/secevent/caep/event-type/session-revoked'],
  delivery: { method: 'urn:ietf:rfc:8935', endpoint_url: 'https://receiver.example.com/events' },
  min_verification_interval: 10,
  description: 'The gateway at the edge',
  writ_owner: 'spiffe://agents.example.com/operator/ada',
  writ_status: 'enabled',
  writ_delivered: 0,
  writ_waiting: 0,
  writ_dead: 0,
};

const PAUSED: SignalStatus = { stream_id: EXAMPLE.stream_id, status: 'paused', reason: 'maintenance' };
