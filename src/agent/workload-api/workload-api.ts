import type { Clock } from '../../base/clock.ts';
import { WritError } from '../../base/error.ts';
import type { Codec } from '../../grpc/codec.ts';
import { openCodecs } from '../../grpc/codec.ts';
import { encodeFrame } from '../../grpc/frame.ts';
import { methodPath } from '../../grpc/proto.ts';
import { type Answers, type CallContext, type ServerMethod, serverStream, unary } from '../../grpc/server-method.ts';
import { validateJwtSvid } from '../../jwt/jwt-svid.ts';
import { subjectsOf } from '../../sdk/jwt-svid.ts';
import * as messages from '../../sdk/workload-api/messages.ts';
import { failureOf } from '../failure.ts';
import type { CallerProcess } from '../process/table.ts';
import type { Trust } from '../trust.ts';
import type { Child } from '../workloads/child.ts';
import type { Workloads } from '../workloads/workloads.ts';
import { requireHeader } from './require-header.ts';
import { serveChanges, type Updates } from './stream.ts';
import type { Tokens } from './tokens.ts';

export interface ApiParts {
  readonly workloads: Workloads;
  readonly trust: Trust;
  readonly tokens: Tokens;
  /** Revocation lists that callers get, DER. */
  readonly lists: () => readonly Uint8Array[];
  readonly clock: Clock;
  readonly updates: Updates;
  /** Why something of this trust domain with these subjects may not act, as the feed says. */
  readonly fallen: (subjects: readonly string[]) => 'stopped' | 'held' | undefined;
}

/** Audiences of one token, and characters of one of them, as the server takes them. */
const AUDIENCES = 8;
const LONGEST_AUDIENCE = 512;

/** The SPIFFE Workload API. What is asked of WIT-SVIDs is not served, and so answered `Unimplemented` (§7). */
export function workloadMethods(parts: ApiParts): readonly ServerMethod<CallerProcess>[] {
  const codecs = openCodecs(messages.WORKLOAD_FILE);
  const path = (name: string): string => methodPath(messages.WORKLOAD_FILE, name);
  const stream = <Q, A>(
    name: string,
    request: Codec<Q>,
    response: Codec<A>,
    make: (children: readonly Child[]) => A,
  ): ServerMethod<CallerProcess> =>
    serverStream<CallerProcess, Q, A>({
      ...{ path: path(name), request, response },
      handle: (_asked, answers: Answers<CallerProcess, A>) =>
        serveChanges(answers, parts, (children) => encodeFrame(response.encode(make(children)))),
    });
  return [
    stream('FetchX509SVID', codecs.of(messages.x509SvidRequest), codecs.of(messages.x509SvidResponse), (children) => ({
      // All with the newest roots, whichever came with their own certificates.
      svids: withUniqueHints(children.map(({ svid }) => ({ ...svid, bundle: parts.trust.own?.x509 ?? svid.bundle }))),
      crl: parts.lists(),
      federated_bundles: bundlesOf(parts, children, 'x509', false),
    })),
    stream(
      'FetchX509Bundles',
      codecs.of(messages.x509BundlesRequest),
      codecs.of(messages.x509BundlesResponse),
      (children) => ({ crl: parts.lists(), bundles: bundlesOf(parts, children, 'x509', true) }),
    ),
    stream(
      'FetchJWTBundles',
      codecs.of(messages.jwtBundlesRequest),
      codecs.of(messages.jwtBundlesResponse),
      (children) => ({ bundles: bundlesOf(parts, children, 'jwks', true) }),
    ),
    unary<CallerProcess, messages.JwtSvidRequest, { readonly svids: readonly messages.JwtSvid[] }>({
      path: path('FetchJWTSVID'),
      request: codecs.of(messages.jwtSvidRequest),
      response: codecs.of(messages.jwtSvidResponse),
      handle: (asked, context) => fetchTokens(asked, context, parts),
    }),
    unary<CallerProcess, messages.ValidateJwtSvidRequest, messages.ValidateJwtSvidResponse>({
      path: path('ValidateJWTSVID'),
      request: codecs.of(messages.validateJwtSvidRequest),
      response: codecs.of(messages.validateJwtSvidResponse),
      handle: (asked, context) => validate(asked, context, parts),
    }),
  ].map(requireHeader);
}

async function callersChildren(
  { connection }: CallContext<CallerProcess>,
  { workloads }: ApiParts,
): Promise<readonly Child[]> {
  const found = await workloads.identities(connection, true);
  if (found.ok) return found.children;
  throw failureOf(found.why);
}

async function fetchTokens(
  { audience, spiffe_id }: messages.JwtSvidRequest,
  context: CallContext<CallerProcess>,
  parts: ApiParts,
): Promise<{ readonly svids: readonly messages.JwtSvid[] }> {
  if (
    audience.length === 0 ||
    audience.length > AUDIENCES ||
    audience.some((one) => one === '' || one.length > LONGEST_AUDIENCE || /\p{Cc}/u.test(one))
  ) {
    throw new WritError('bad_request', 'It is not said for whom the token is to be.', {
      field: 'audience',
      remedy: `Name 1 to ${AUDIENCES} audiences of 1 to ${LONGEST_AUDIENCE} characters, none of which is a control character.`,
    });
  }
  const children = await callersChildren(context, parts);
  const wanted = spiffe_id === '' ? children : children.filter((child) => child.spiffeId === spiffe_id);
  if (wanted.length === 0) {
    parts.workloads.refuse(context.connection, 'not-its-identity');
    throw failureOf('refused');
  }
  const svids = await Promise.all(
    wanted.map(async (child) => {
      const svid = await parts.tokens.of(child, audience);
      const { hint } = child.entry;
      return { spiffe_id: child.spiffeId, svid, ...(hint === undefined ? {} : { hint }) };
    }),
  );
  // Who was stopped or has ended while the server signed gets nothing.
  if (!parts.workloads.mayHave(context.connection, wanted)) throw failureOf('refused');
  return { svids: withUniqueHints(svids) };
}

async function validate(
  { audience, svid }: messages.ValidateJwtSvidRequest,
  context: CallContext<CallerProcess>,
  parts: ApiParts,
): Promise<messages.ValidateJwtSvidResponse> {
  if (audience === '' || svid === '') {
    throw new WritError('bad_request', 'Audience and token both have to be given.', {
      field: audience === '' ? 'audience' : 'svid',
    });
  }
  const children = await callersChildren(context, parts);
  const domains = trustDomainsOf(parts, children);
  if (parts.trust.own === undefined) throw failureOf('unavailable');
  const validated = validateJwtSvid(svid, {
    audience,
    now: parts.clock.now(),
    keys: (domain) => (domains.includes(domain) ? parts.trust.of(domain)?.jwtKeys : undefined),
  });
  if (!validated.ok) throw new WritError('bad_request', `The token is not valid: ${validated.why}`, { field: 'svid' });
  const { id, claims } = validated;
  // Whoever was stopped has its tokens for as long as they live, and the feed says so at once.
  const fallen = id.trustDomain === parts.trust.trustDomain ? parts.fallen(subjectsOf(id)) : undefined;
  if (fallen === undefined) return { spiffe_id: id.uri, claims };
  throw new WritError('bad_request', `The token is not valid: its bearer is ${fallen}.`, { field: 'svid' });
}

/** Its own trust domain, and those that the entries of a caller name. */
function trustDomainsOf({ trust }: ApiParts, children: readonly Child[]): readonly string[] {
  return [...new Set([trust.trustDomain, ...children.flatMap(({ entry }) => entry.federates_with)])];
}

function bundlesOf(
  parts: ApiParts,
  children: readonly Child[],
  part: 'x509' | 'jwks',
  own: boolean,
): messages.ByTrustDomain {
  const { trust } = parts;
  if (own && trust.own === undefined) throw failureOf('unavailable');
  const bundles: Record<string, Uint8Array> = {};
  for (const domain of trustDomainsOf(parts, children)) {
    const bundle = domain === trust.trustDomain && !own ? undefined : trust.of(domain);
    if (bundle !== undefined) bundles[`spiffe://${domain}`] = bundle[part];
  }
  return bundles;
}

/** §5.2.1: of those in one message no two have the same hint. The first keeps it. */
function withUniqueHints<T extends { readonly hint?: string }>(svids: readonly T[]): readonly T[] {
  const seen = new Set<string>();
  return svids.map((svid) => {
    if (svid.hint === undefined || !seen.has(svid.hint)) {
      if (svid.hint !== undefined) seen.add(svid.hint);
      return svid;
    }
    const { hint: _, ...rest } = svid;
    return rest as T;
  });
}
