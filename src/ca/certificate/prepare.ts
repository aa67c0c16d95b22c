import { WritError } from '../../base/error.ts';
import type { Random } from '../../base/random.ts';
import type { SpiffeId } from '../../spiffe-id/spiffe-id.ts';
import { subjectOf } from '../../spiffe-id/subject.ts';
import type { AgentContext } from '../../x509/extensions/agent-context.ts';
import type { GeneralName } from '../../x509/general-name.ts';
import { encodeLeafTbs, type LeafTemplate } from '../../x509/leaf-template.ts';
import type { ExpectedProfile } from '../../x509/lint/expected.ts';
import { isHostName } from '../../x509/path/host-name.ts';
import { keyIdentifier, type PublicKey } from '../../x509/public-key.ts';
import { type Issuer, LEAF_PURPOSES } from '../issuer.ts';
import { isInNetwork, parseNetwork } from '../profile/network.ts';
import type { Profile } from '../profile/profile.ts';
import { makeSerial } from './serial.ts';
import { type Prepared, prepared } from './token.ts';

/** Clocks of relying parties may be this far behind. Milliseconds. */
export const BACKDATING = 30_000;

/** What one leaf certificate shall say. Everything in it was authorised before; nothing is taken from a CSR but the key. */
export interface LeafRequest {
  readonly key: PublicKey;
  readonly id: SpiffeId;
  /** Lower-case host names, each at most once. */
  readonly dns?: readonly string[];
  /** Addresses of 4 or 16 octets, each at most once. */
  readonly addresses?: readonly Uint8Array[];
  readonly context?: AgentContext;
  /** Seconds, within the profile's bounds. Default: the profile's. */
  readonly lifetime?: number;
  /** Milliseconds: the end of what the certificate hangs on (attestation, grant). It never outlives that. */
  readonly until?: number;
}

/**
 * Prepares a leaf certificate: chooses its serial number, cuts its life to what it hangs on, encodes and lints what is
 * to be signed. `now` in milliseconds; `status` of this issuer, for the profile's mode. Throws
 *
 * - `bad_csr` for a kind of key that the profile does not take, `bad_request` for a lifetime outside its bounds;
 * - `denied` for a subject that the profile is not for, or a name that it does not allow;
 * - `expired` when nothing is left of what it hangs on, `clock` when the issuer's life has not begun;
 * - `lint_failed` when the outcome breaks a rule, which is a defect.
 */
export function prepareLeaf(
  issuer: Issuer,
  profile: Profile,
  request: LeafRequest,
  {
    now,
    random,
    status,
  }: { readonly now: number; readonly random: Random; readonly status: { readonly template: LeafTemplate } },
): Prepared {
  const subject = subjectOf(request.id, issuer.trustDomain);
  if (issuer.kind !== 'issuing' || subject === undefined) {
    throw new WritError('internal', 'A leaf was to be signed by an authority that signs no such leaves.');
  }
  if (!profile.subjects.includes(subject.kind)) {
    throw new WritError('denied', `The profile ${profile.name} is not for a subject of kind ${subject.kind}.`, {
      field: '/profile',
      remedy: `It is for: ${profile.subjects.join(', ')}.`,
    });
  }
  requireKey(profile, request.key);
  const names = namesOf(profile, request);
  const lifetime = lifetimeOf(issuer, profile, request, now);
  const serial = makeSerial(now, lifetime, random);
  const expiresAt = now + lifetime * 1000;
  const tbs = encodeLeafTbs(status.template, {
    serial,
    notBefore: Math.max(issuer.notBefore, wholeSecond(now - BACKDATING)),
    notAfter: wholeSecond(expiresAt),
    spki: request.key.spki,
    keyIdentifier: keyIdentifier(request.key),
    names,
    ...(profile.context && request.context !== undefined ? { context: request.context } : {}),
  });
  return prepared(issuer, { serial, issuedAt: now, expiresAt, tbs, expected: expectedOf(profile, issuer) });
}

/** Milliseconds at the begin of the second that `ms` lies in. */
export function wholeSecond(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}

function expectedOf(profile: Profile, issuer: Issuer): ExpectedProfile {
  return {
    kind: 'leaf',
    trustDomain: issuer.trustDomain,
    keys: profile.keys,
    maxValidity: profile.lifetime.most * 1000 + BACKDATING,
    purposes: LEAF_PURPOSES,
    revocation: profile.revocation,
  };
}

function requireKey(profile: Profile, key: PublicKey): void {
  if (profile.keys.includes(key.algorithm)) return;
  throw new WritError('bad_csr', `The profile ${profile.name} does not take keys of kind ${key.algorithm}.`, {
    field: '/csr',
    remedy: `Make a key of kind ${profile.keys.join(', ')}.`,
  });
}

/** Seconds. */
function lifetimeOf(issuer: Issuer, profile: Profile, request: LeafRequest, now: number): number {
  const { default: usual, least, most } = profile.lifetime;
  const wanted = request.lifetime ?? usual;
  if (!Number.isInteger(wanted) || wanted < least || wanted > most) {
    throw new WritError('bad_request', `The lifetime is not one that the profile ${profile.name} gives.`, {
      field: '/lifetime',
      remedy: `Ask for a whole number of seconds from ${least} to ${most}.`,
    });
  }
  if (now < issuer.notBefore) {
    throw new WritError('clock', 'The clock is behind the begin of the issuing authority.', {
      remedy:
        'Set the clock of this machine. If it is right now and had been ahead, run "writ ledger accept-clock" on the server’s machine.',
    });
  }
  const until = Math.min(issuer.notAfter, request.until ?? issuer.notAfter);
  const lifetime = Math.min(wanted, Math.floor((until - now) / 1000));
  if (lifetime >= 1) return lifetime;
  throw new WritError('expired', 'What the certificate would hang on has ended.', {
    remedy:
      until === issuer.notAfter
        ? 'The issuing authority has expired: start Writ again, or see "writ ca due".'
        : 'Renew the attestation first: enrol with a new token.',
  });
}

function namesOf(profile: Profile, { id, dns = [], addresses = [] }: LeafRequest): GeneralName[] {
  const names: GeneralName[] = [{ kind: 'uri', value: id.uri }];
  for (const value of dns) {
    const form = isHostName(value) && value === value.toLowerCase();
    if (!form || !profile.dns.some((base) => value === base || value.endsWith(`.${base}`))) {
      throw refusedName(profile, '/dns_names', 'DNS name', profile.dns);
    }
    names.push({ kind: 'dns', value });
  }
  for (const value of addresses) {
    if (!profile.networks.some((network) => isInNetwork(value, parseNetwork(network)!))) {
      throw refusedName(profile, '/ip_addresses', 'IP address', profile.networks);
    }
    names.push({ kind: 'ip', value });
  }
  return names;
}

function refusedName(profile: Profile, field: string, what: string, allowed: readonly string[]): WritError {
  return new WritError('denied', `The profile ${profile.name} does not allow this ${what}.`, {
    field,
    remedy: allowed.length === 0 ? 'It allows none.' : `It allows those in ${allowed.join(', ')}.`,
  });
}
