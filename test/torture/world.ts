import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { ErrorCode } from '../../src/base/error.ts';
import type { Item } from '../../src/cli/api.ts';
import { decodePem, encodePem } from '../../src/der/pem.ts';
import { encodeCsr } from '../../src/x509/csr.ts';
import type { Bearer, Door } from './door.ts';

/** How many acts asked that something end, since when (milliseconds of `performance.now`) it certainly has, and who said so. */
export interface End {
  asked: number;
  since?: number;
  by?: Door;
}

/** One sending of a request. */
export interface Sending {
  readonly at: number;
  readonly door: Door;
  /** Whether it was sent before, so that an answer may be the first one's, for which nothing is committed. */
  readonly again: boolean;
}

/** One running copy of an agent, as it knows itself. */
export interface Holder {
  readonly id: string;
  readonly agent: Registered;
  readonly held: Held[];
  /** Whom it let in: they fall with it. */
  readonly below: Holder[];
  readonly stop: End;
  /** Of its quarantine, which nobody here lifts. */
  readonly hold: End;
}

export interface Registered {
  readonly name: string;
  readonly retire: End;
}

/** A certificate that was released to somebody, with its key. */
export interface Held {
  readonly serial: string;
  readonly holder: Holder;
  readonly key: KeyObject;
  /** PEM. */
  readonly certificate: string;
  readonly chain: readonly string[];
  readonly revoke: End;
}

/** What a client was given and may rely on. */
export interface Release {
  readonly serial: string;
  readonly index: number;
  readonly der: Uint8Array;
  /** Set once its receipt has been seen to verify and its entry to hold these bytes. */
  proven: boolean;
}

export interface JoinToken {
  readonly id: string;
  readonly text: string;
  readonly agent: Registered;
  readonly uses: number;
  /** Acts that were sent with it. */
  asked: number;
  /** Instances that it let in, as far as anybody was told. */
  readonly letIn: Set<string>;
}

/** One request that changes something, under an idempotency key. */
export interface Act {
  readonly kind: string;
  /** The idempotency key, the same for every repeat. */
  readonly key: string;
  readonly as: Bearer | 'operator' | 'nobody';
  readonly path: string;
  readonly body: Item;
  /** What every answer to this act must have in common. */
  readonly same: (answer: Item) => string;
  /** Enters the first answer into the world. */
  readonly settle: (answer: Item, by: Door) => void;
  /** Whether the world explains a refusal, as it is when the refusal comes. */
  readonly explains: (code: ErrorCode) => boolean;
  /** What had ended before this sending, so that an answer which is no refusal comes late; undefined when nothing had. */
  readonly late: (sending: Sending) => Late | undefined;
  attempts: number;
  /** What the answers have in common, once there was one. */
  answer?: string;
  /** How the only attempt was refused: then nothing of it may be found anywhere. */
  refused?: ErrorCode;
}

/**
 * Everything that clients of one installation were told, which is what the installation is held to. Nothing here is read
 * from the server but by way of an answer to a request.
 */
export class World {
  readonly agents: Registered[] = [];
  readonly holders: Holder[] = [];
  readonly tokens: JoinToken[] = [];
  readonly releases: Map<string, Release> = new Map();
  /** Acts for whose key no other act asks a certificate, by the SHA-256 of the key in hex. */
  readonly byKey: Map<string, Act> = new Map();
  /** Acts that were answered, for repeating them; the newest last. */
  readonly answered: Act[] = [];
  /** Serial numbers of which somebody was told that they are revoked. */
  readonly revoked: Set<string> = new Set();
  /** The same certificates, the newest last. */
  readonly ended: Held[] = [];
  /** Acts under way. */
  readonly flying: Set<Act> = new Set();
  /** Acts of which nobody knows what became of them. */
  unknown: Act[] = [];
  agentsMade = 0;

  living(): Holder[] {
    return this.holders.filter(({ stop, hold, agent }) => !stop.asked && !hold.asked && !agent.retire.asked);
  }
}

/** A request that was answered as if something had not ended. */
export interface Late {
  readonly what: string;
  /** Milliseconds from the acknowledgement of the end to the sending of the request. */
  readonly after: number;
  /** Milliseconds for which that is no violation. */
  readonly allowed: number;
}

/**
 * For so long another replica may not know of an end that this one acknowledged: the hard bound of the design, and half
 * a second for a machine that is busy.
 */
const REPLICA_MS = 5500;

/** An end that nobody has asked for. */
export function noEnd(): End {
  return { asked: 0 };
}

export function endNow(end: End, by: Door): void {
  end.asked ||= 1;
  end.since ??= performance.now();
  end.by ??= by;
}

/**
 * What to hold against an answer to this sending, when the end was acknowledged before. A commit looks at it under lock,
 * wherever it was acknowledged. The answer to a repeat or a question commits nothing: for those another replica has the
 * time in which it learns of the end.
 */
export function lateFor(what: string, end: End, { at, door, again }: Sending): Late | undefined {
  if (end.since === undefined || end.since > at) return undefined;
  return { what, after: at - end.since, allowed: !again || end.by === door ? 0 : REPLICA_MS };
}

/** The one of them that is most beyond what is allowed. */
export function latest(...lates: readonly (Late | undefined)[]): Late | undefined {
  const beyond = ({ after, allowed }: Late): number => after - allowed;
  return lates.filter((late) => late !== undefined).sort((a, b) => beyond(b) - beyond(a))[0];
}

/** A fresh key with a request for it. */
export interface Request {
  readonly key: KeyObject;
  /** PEM. */
  readonly csr: string;
  /** SHA-256 of the public key in hex. */
  readonly spki: string;
}

export async function newRequest(key?: KeyObject): Promise<Request> {
  const privateKey = key ?? generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const spki = new Uint8Array(createPublicKey(privateKey).export({ type: 'spki', format: 'der' }));
  const csr = await encodeCsr({
    spki,
    algorithm: 'ecdsa-p256-sha256',
    sign: async (message) => sign('sha256', message, privateKey),
  });
  return {
    key: privateKey,
    csr: encodePem('CERTIFICATE REQUEST', csr),
    spki: createHash('sha256').update(spki).digest('hex'),
  };
}

/** Tells texts apart that are too long, or too secret, to be printed. */
export function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 12);
}

export function derOf(pem: string): Uint8Array {
  return decodePem(pem, 'CERTIFICATE');
}
