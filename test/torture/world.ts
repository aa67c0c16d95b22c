import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { ErrorCode } from '../../src/base/error.ts';
import type { Item } from '../../src/cli/api.ts';
import { decodePem, encodePem } from '../../src/der/pem.ts';
import { encodeCsr } from '../../src/x509/csr.ts';
import type { Door } from './door.ts';

/** Whether something was asked to end, since when (milliseconds of `performance.now`) it certainly has, and who said so. */
export interface End {
  asked: boolean;
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
  readonly stop: End;
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
  readonly as: Held | 'operator' | 'nobody';
  readonly path: string;
  readonly body: Item;
  /** What every answer to this act must have in common. */
  readonly same: (answer: Item) => string;
  /** Enters the first answer into the world. */
  readonly settle: (answer: Item, by: Door) => void;
  /** Whether the world explains a refusal, as it is when the refusal comes. */
  readonly explains: (code: ErrorCode) => boolean;
  /** Why no answer but a refusal may come to this sending; undefined when one may. */
  readonly forbidden: (sending: Sending) => string | undefined;
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
  /** Acts under way. */
  readonly flying: Set<Act> = new Set();
  /** Acts of which nobody knows what became of them. */
  unknown: Act[] = [];
  agentsMade = 0;

  living(): Holder[] {
    return this.holders.filter(({ stop, agent }) => !stop.asked && !agent.retire.asked);
  }
}

/**
 * For so long another replica may not know of an end that this one acknowledged, where it has only to look and nothing to
 * commit: the hard bound of the design, and half a second for a machine that is busy.
 */
const REPLICA_MS = 5500;

export function endNow(end: End, by: Door): void {
  end.asked = true;
  end.since ??= performance.now();
  end.by ??= by;
}

/** True when the end was in force for this sending: at once where it is looked at under lock, else as far as known there. */
export function isOver(end: End, { at, door, again }: Sending, looked: 'under lock' | 'in memory'): boolean {
  const slack = (looked === 'under lock' && !again) || end.by === door ? 0 : REPLICA_MS;
  return end.since !== undefined && end.since + slack <= at;
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
