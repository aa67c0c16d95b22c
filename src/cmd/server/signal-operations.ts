import { readTokenKeys, tokenSigner } from '../../ca/jwt/key.ts';
import { signJwt } from '../../ca/jwt/sign.ts';
import type { Operation } from '../../rest/operation.ts';
import { signalOperations as routes } from '../../rest/signals.ts';
import { quarantine } from '../../revocation/quarantine.ts';
import { EVENTS_SUPPORTED } from '../../status/ssf/events.ts';
import { eventsDelivered } from '../../status/ssf/fan-out.ts';
import { ensureSignalKeys, openSecretBox, rotateSignalKey, type SignalKeyParts } from '../../status/ssf/keys.ts';
import {
  changeStream,
  createStream,
  type ManageParts,
  removeStream,
  retryStream,
  type StreamInput,
  setStreamStatus,
  showDeadSets,
  showStream,
  showStreams,
  VERIFICATION_INTERVAL,
  verifyStream,
} from '../../status/ssf/manage.ts';
import { poller } from '../../status/ssf/poll.ts';
import { countSets, type QueuedSet } from '../../status/ssf/queue.ts';
import { type ReceiveParts, receiveSet } from '../../status/ssf/receive.ts';
import type { Stream } from '../../status/ssf/stream.ts';
import type { TrustedTransmitter } from '../../status/ssf/trusted.ts';
import type {
  ChangeSignalStream,
  CreateSignalStream,
  DeadSignal,
  SignalStatus,
  SignalStream,
} from '../../wire/signal.ts';
import type { SignalsConfig } from '../config/signals.ts';
import { cordParts } from './cord-operations.ts';
import { forCaller } from './for-caller.ts';
import type { ThreadParts } from './thread-parts.ts';

export interface SignalMeans {
  readonly config: SignalsConfig;
  readonly trusted: readonly TrustedTransmitter[];
  /** The issuer identifier, known once the listener has its port. */
  readonly issuer: () => string;
  /** Aborted when the server stops. */
  readonly ending: AbortSignal;
}

const PUSH = 'urn:ietf:rfc:8935';
const POLL = 'urn:ietf:rfc:8936';

/** Shared Signals: who is told of stops, and whose signals make Writ hold something. */
export function signalOperations(parts: ThreadParts, { config, trusted, issuer, ending }: SignalMeans): Operation[] {
  const { reader, commit, clock, random, keyring, epoch, hierarchy, policy } = parts;
  const { authorize } = policy;
  const signer = tokenSigner(reader, keyring, clock.now);
  const keyParts: SignalKeyParts = { reader, commit, keyring, random, clock, algorithm: config.algorithm };
  const manage: ManageParts = {
    reader,
    authorize,
    commit,
    clock,
    random,
    issuer,
    prepare: () => ensureSignalKeys(keyParts),
    box: () => openSecretBox(reader, keyring, random),
    receivers: config.receivers,
  };
  const acting = forCaller(manage, parts, { policy: true });
  const rotating = forCaller({ ...keyParts, authorize }, parts, { policy: true });
  const poll = poller({
    ...{ reader, authorize, commit, clock, epoch, ending },
    sign: async (claims) => signJwt(await signer(), { typ: 'secevent+jwt', claims }),
  });
  const receiving = receiveParts(parts, trusted);
  const answer = async (stream: Stream): Promise<SignalStream> =>
    streamAnswer(stream, issuer(), await countSets(reader, stream.id));

  return routes({
    configuration: async () => configuration(issuer()),
    keys: async () => ({ keys: (await readTokenKeys(reader)).map(({ jwk }) => jwk) }),
    create: async (caller, input, options) =>
      answer(await createStream(caller, inputOf(input), await acting(caller), options)),
    list: async (caller) => Promise.all((await showStreams(caller, manage)).map(answer)),
    show: async (caller, id) => answer(await showStream(caller, id, manage)),
    change: async (caller, { stream_id: id, ...input }, how) =>
      answer(await changeStream(caller, { id, how, input: changeOf(input) }, await acting(caller))),
    remove: async (caller, id, options) => removeStream(caller, id, await acting(caller), options),
    status: async (caller, id) => statusAnswer(await showStream(caller, id, manage)),
    setStatus: async (caller, { stream_id: id, status, reason }) =>
      statusAnswer(await setStreamStatus(caller, { id, status, reason }, await acting(caller))),
    verify: async (caller, { stream_id: id, state }) => verifyStream(caller, { id, state }, await acting(caller)),
    poll: (caller, id, { maxEvents, returnImmediately, ack, setErrs = {} }) =>
      poll(caller, id, {
        ...(maxEvents === undefined ? {} : { maxEvents }),
        ...(returnImmediately === undefined ? {} : { returnImmediately }),
        ...(ack === undefined ? {} : { ack }),
        setErrs: Object.fromEntries(Object.entries(setErrs).map(([jti, { err }]) => [jti, err])),
      }),
    dead: async (caller, from) => (await showDeadSets(caller, from, manage)).map(deadAnswer),
    retry: async (caller, id) => answer(await retryStream(caller, id, await acting(caller))),
    async rotateKey(caller, { at_once: atOnce = false }, options) {
      const { kid, algorithm, signsFrom } = await rotateSignalKey(caller, { atOnce }, await rotating(caller), options);
      return { kid, algorithm, signs_from: new Date(signsFrom).toISOString() };
    },
    receive: (token, authorization) => receiveSet(token, authorization, receiving),
  });

  function receiveParts(from: ThreadParts, of: readonly TrustedTransmitter[]): ReceiveParts {
    const cord = cordParts(from);
    return {
      reader,
      commit,
      clock,
      trustDomain: hierarchy.trustDomain,
      trusted: of,
      async quarantine(caller, target, evidence) {
        const name = target.kind === 'agent' ? target.name : target.id;
        await quarantine(caller, { target: { kind: target.kind, name }, cause: 'risk_signal', evidence }, cord);
      },
    };
  }
}

/** SSF 1.0 §7.1. */
function configuration(issuer: string): object {
  return {
    spec_version: '1_0',
    issuer,
    jwks_uri: `${issuer}/v1/signals/jwks.json`,
    delivery_methods_supported: [PUSH, POLL],
    configuration_endpoint: `${issuer}/v1/signals/streams`,
    status_endpoint: `${issuer}/v1/signals/status`,
    verification_endpoint: `${issuer}/v1/signals/verify`,
    // A client certificate in the handshake (RFC 8446 §4.3.2).
    authorization_schemes: [{ spec_urn: 'urn:ietf:rfc:8446' }],
    default_subjects: 'ALL',
  };
}

function inputOf({ aud, description, events_requested, delivery }: CreateSignalStream): StreamInput {
  return {
    ...(aud === undefined ? {} : { audience: aud }),
    ...(description === undefined ? {} : { description }),
    ...(events_requested === undefined ? {} : { eventsRequested: events_requested }),
    ...(delivery === undefined
      ? {}
      : {
          delivery: {
            method: delivery.method === PUSH ? 'push' : 'poll',
            ...(delivery.endpoint_url === undefined ? {} : { endpoint: delivery.endpoint_url }),
            ...(delivery.authorization_header === undefined ? {} : { authorization: delivery.authorization_header }),
          },
        }),
  };
}

/** The same of a stream that is there, of which a receiver may repeat what we said. */
function changeOf(said: Omit<ChangeSignalStream, 'stream_id'>): StreamInput {
  const { iss, events_supported, events_delivered, min_verification_interval } = said;
  return {
    ...inputOf(said),
    supplied: {
      ...(iss === undefined ? {} : { iss }),
      ...(events_supported === undefined ? {} : { events_supported }),
      ...(events_delivered === undefined ? {} : { events_delivered }),
      ...(min_verification_interval === undefined ? {} : { min_verification_interval }),
    },
  };
}

function streamAnswer(stream: Stream, iss: string, count: { waiting: number; dead: number }): SignalStream {
  const { id, audience, description, method, endpoint, eventsRequested, deliveredAt } = stream;
  return {
    stream_id: id,
    iss,
    aud: audience,
    events_supported: [...EVENTS_SUPPORTED],
    ...(eventsRequested.length === 0 ? {} : { events_requested: eventsRequested }),
    events_delivered: eventsDelivered(stream),
    delivery:
      method === 'push'
        ? { method: PUSH, endpoint_url: endpoint! }
        : { method: POLL, endpoint_url: `${iss}/v1/signals/poll/${id}` },
    min_verification_interval: VERIFICATION_INTERVAL,
    ...(description === undefined ? {} : { description }),
    writ_owner: stream.owner,
    writ_status: stream.status,
    writ_delivered: stream.delivered,
    ...(deliveredAt === undefined ? {} : { writ_delivered_at: new Date(deliveredAt).toISOString() }),
    writ_waiting: count.waiting,
    writ_dead: count.dead,
  };
}

function statusAnswer({ id, status, reason }: Stream): SignalStatus {
  return { stream_id: id, status, ...(reason === undefined ? {} : { reason }) };
}

function deadAnswer({ stream, number, jti, claims, attempts, fault = '', createdAt }: QueuedSet): DeadSignal {
  const events = Object.keys(claims.events);
  return { stream_id: stream, number, jti, events, attempts, fault, created_at: new Date(createdAt).toISOString() };
}
