import { hash, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../../base/clock.ts';
import { idOfOctets } from '../../base/id-octets.ts';
import type { Batch } from '../../db/batch.ts';
import type { Reader } from '../../db/database.ts';
import type { JoinToken } from '../../wire/join-token.ts';
import type { Attestation, Attested } from '../attested.ts';
import { readTokenWithHash, type StoredToken, useToken } from './store.ts';

export interface JoinTokenParts {
  readonly reader: Reader;
  readonly clock: Clock;
  /** The instances that made tokens; `registry/` knows. */
  readonly instances: {
    isActive(instance: string): Promise<boolean>;
    /** The commit looks again. */
    requireActive(batch: Batch, instance: string): void;
  };
}

/** Stands in for the hash of a token that there is not, so that looking for one takes the same time. */
const NO_HASH = new Uint8Array(32);

/**
 * The server keeps SHA-256 of the secret and no slow password hash: the secret has 160 random bits, so there is nothing to
 * guess, and every enrolment would pay.
 */
export function secretHashOf(secret: Uint8Array): Uint8Array {
  return hash('sha256', secret, 'buffer');
}

/**
 * What a join token proves. The address and root fingerprint in it were for its bearer and are not looked at. Whether it
 * has uses left is looked at again by the commit, through `record`.
 */
export async function attestJoinToken(given: JoinToken, parts: JoinTokenParts): Promise<Attestation> {
  const id = idOfOctets(given.id);
  const found = await readTokenWithHash(parts.reader, id);
  const same = timingSafeEqual(secretHashOf(given.secret), found?.secretHash ?? NO_HASH);
  if (found === undefined || !same) return { accepted: false, fault: 'unknown' };

  const { token } = found;
  const now = parts.clock.now();
  const status = tokenStatus(token, now);
  if (status !== 'active') return { accepted: false, fault: status, reference: id };
  if (token.parent !== undefined && !(await parts.instances.isActive(token.parent))) {
    return { accepted: false, fault: 'parent-stopped', reference: id };
  }
  return { accepted: true, attested: attestedBy(token, now, parts) };
}

export type TokenStatus = 'active' | 'spent' | 'expired' | 'revoked';

export function tokenStatus(token: StoredToken, now: number): TokenStatus {
  if (token.revokedAt !== undefined) return 'revoked';
  if (token.used >= token.uses) return 'spent';
  return token.expiresAt <= now ? 'expired' : 'active';
}

function attestedBy(token: StoredToken, now: number, { instances }: JoinTokenParts): Attested {
  const { id, agent, workflow, scopes, labels, parent, attestedUntil } = token;
  return {
    kind: 'join-token',
    agent,
    reference: id,
    ...(attestedUntil === undefined ? {} : { expiresAt: attestedUntil }),
    ...(parent === undefined ? {} : { parent }),
    ...(workflow === undefined ? {} : { workflow }),
    scopes,
    labels,
    facts: { attestation: 'join-token' },
    record(batch, instance) {
      useToken(batch, id, now);
      if (parent !== undefined) instances.requireActive(batch, parent);
      batch.events.push({
        type: 'token.used',
        subjects: [`token:${id}`, `agent:${agent}`, `instance:${instance}`],
        body: { token: id, agent, instance },
      });
    },
  };
}
