import { WritError } from '../base/error.ts';
import { type TrustDomain, trustDomainFault } from './trust-domain.ts';

/** A SPIFFE ID that `parseSpiffeId` has accepted or `spiffeId` has built. */
export interface SpiffeId {
  /** The whole, e.g. `spiffe://agents.example.com/agent/planner/01k…`. Two ids are the same when these are. */
  readonly uri: string;
  readonly trustDomain: TrustDomain;
  /** Empty for the id of a trust domain itself, as CA certificates carry it. */
  readonly segments: readonly string[];
}

const SCHEME = 'spiffe://';

/** SPIFFE-ID §2.3: every implementation supports 2048 bytes, and none should make more. */
const LONGEST = 2048;

/**
 * Parses a SPIFFE ID strictly (SPIFFE-ID §2): lower-case scheme and trust domain, no port, user info, query, fragment
 * or percent-encoding; no empty, `.` or `..` path segment and no trailing slash. What it accepts it gives back
 * unchanged: there is one spelling of an id, so ids are compared as text.
 *
 * Throws `bad_spiffe_id`; `field` says where the text came from.
 */
export function parseSpiffeId(text: string, field?: string): SpiffeId {
  const fault = spiffeIdFault(text);
  if (fault !== undefined) {
    throw new WritError('bad_spiffe_id', `The SPIFFE ID ${fault}.`, {
      ...(field === undefined ? {} : { field }),
      remedy: 'Give an id like spiffe://agents.example.com/agent/planner/01jd0000000000000000000000.',
    });
  }
  const [domain, ...segments] = text.slice(SCHEME.length).split('/');
  return { uri: text, trustDomain: domain as TrustDomain, segments };
}

/**
 * Builds the id of `segments` under a trust domain. Throws `bad_spiffe_id` where a segment could not be parsed back, so
 * what comes out is always an id.
 */
export function spiffeId(trustDomain: TrustDomain, ...segments: readonly string[]): SpiffeId {
  const id = parseSpiffeId([SCHEME + trustDomain, ...segments].join('/'));
  if (id.segments.length === segments.length) return id;
  throw new WritError('bad_spiffe_id', 'A path segment of the SPIFFE ID has a slash.');
}

function spiffeIdFault(text: string): string | undefined {
  if (text.length > LONGEST) return `is longer than ${LONGEST} bytes`;
  if (!text.startsWith(SCHEME)) return 'does not begin with spiffe://';
  const [domain, ...segments] = text.slice(SCHEME.length).split('/');
  const inDomain = trustDomainFault(domain!);
  if (inDomain !== undefined) return `has a trust domain that ${inDomain}`;
  if (segments.at(-1) === '') return 'ends in a slash';
  for (const segment of segments) {
    if (segment === '') return 'has an empty path segment';
    if (segment === '.' || segment === '..') return 'has a path segment . or ..';
    if (!/^[a-zA-Z0-9._-]+$/.test(segment)) {
      return 'has a path character other than letters, digits, dot, dash and underscore';
    }
  }
  return undefined;
}
