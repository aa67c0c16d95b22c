import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import type { Random } from '../base/random.ts';
import type { VerifierParts } from './evidence.ts';

/** How long a challenge counts. Milliseconds. */
export const CHALLENGE_MS = 300_000;

const TIME = 6;
const RANDOM = 16;
const MAC = 32;

export interface ChallengeParts {
  /** 32 octets, the same for every process of the installation. */
  readonly secret: Uint8Array;
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * Something fresh for the bearer to sign, good for one attestor. The server keeps nothing of it: the text holds its time
 * and a code over all that it is about. That it lets in once, the commit sees to (`useEvidence`).
 */
export function makeChallenge(
  attestor: string,
  parts: ChallengeParts,
): { readonly text: string; readonly until: number } {
  const until = parts.clock.now() + CHALLENGE_MS;
  const body = Buffer.alloc(TIME + RANDOM);
  body.writeUIntBE(until, 0, TIME);
  body.set(parts.random(RANDOM), TIME);
  return { text: Buffer.concat([body, codeOf(body, attestor, parts)]).toString('base64url'), until };
}

export function readChallenge(
  text: string,
  attestor: string,
  parts: ChallengeParts,
): ReturnType<VerifierParts['challenge']> {
  const octets = Buffer.from(text, 'base64url');
  // Node decodes leniently; only the one right spelling encodes back to itself.
  if (octets.length !== TIME + RANDOM + MAC || octets.toString('base64url') !== text) return BAD;
  const body = octets.subarray(0, TIME + RANDOM);
  if (!timingSafeEqual(octets.subarray(TIME + RANDOM), codeOf(body, attestor, parts))) return BAD;
  const until = body.readUIntBE(0, TIME);
  if (until <= parts.clock.now()) return { good: false, fault: 'challenge-expired' };
  return { good: true, nonce: new Uint8Array(body.subarray(TIME)), until };
}

/** What this server alone makes of these octets: each is preceded by its length, so that no two lists are one text. */
export function deriveOf(attestor: string, { secret }: Pick<ChallengeParts, 'secret'>): VerifierParts['derive'] {
  return (...of) => {
    const mac = createHmac('sha256', secret).update(`writ attestation derive 1\0${attestor}\0`);
    for (const octets of of) {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(octets.length);
      mac.update(length).update(octets);
    }
    return new Uint8Array(mac.digest());
  };
}

const BAD = { good: false, fault: 'bad-challenge' } as const;

function codeOf(body: Uint8Array, attestor: string, { secret }: ChallengeParts): Buffer {
  return createHmac('sha256', secret).update(`writ attestation challenge 1\0${attestor}\0`).update(body).digest();
}
