import type { AccessRequest, Facts, Verdict } from '../base/access.ts';
import { refusal } from '../base/demand.ts';
import { WritError } from '../base/error.ts';
import type { LeafRequest } from '../ca/certificate/prepare.ts';
import type { Csr } from '../x509/csr.ts';
import type { AgentContext } from '../x509/extensions/agent-context.ts';
import { parseIpAddress } from '../x509/path/ip-address.ts';
import type { Holder } from './holder.ts';
import type { Context } from './narrow.ts';
import type { Order } from './order.ts';
import type { Wish } from './parts.ts';

type Mutable<T> = { -readonly [member in keyof T]: T[member] };

/** What policy is asked: everything that the certificate would say, and the bounds that the guard holds it to. */
export function accessRequest({ caller, action, wish }: Order, holder: Holder, csr: Csr): AccessRequest {
  const { profile, context, resource } = holder;
  const { least, most } = profile.lifetime;
  const facts: Mutable<Facts> = {
    ...holder.facts,
    profile: profile.name,
    lifetimeSeconds: wish.lifetime ?? profile.lifetime.default,
    dnsNames: dnsNamesOf(holder, wish),
    ipAddresses: wish.ipAddresses ?? [],
    keyAlgorithm: csr.publicKey.algorithm,
    scopes: wish.scopes ?? context.scopes,
    profileMinSeconds: least,
    profileMaxSeconds: most,
    profileDnsNames: profile.dns.length > 0,
    profileIpAddresses: profile.networks.length > 0,
  };
  if (context.workflow !== undefined) facts['workflow'] = context.workflow;
  if (holder.dnsNames !== undefined) facts['ownDnsNames'] = holder.dnsNames;
  return { caller, action, resource, context: facts };
}

/** What the certificate shall say. */
export function leafRequest(holder: Holder, context: Context, wish: Wish, csr: Csr): LeafRequest {
  const wanted: Mutable<LeafRequest> = { key: csr.publicKey, id: holder.id };
  if (wish.lifetime !== undefined) wanted.lifetime = wish.lifetime;
  if (holder.until !== undefined) wanted.until = holder.until;
  const dns = dnsNamesOf(holder, wish);
  if (dns.length > 0) wanted.dns = once(dns);
  if (wish.ipAddresses !== undefined) wanted.addresses = once(wish.ipAddresses).map(octetsOf);
  const extension = extensionOf(context);
  if (extension !== undefined) wanted.context = extension;
  return wanted;
}

/** Those asked for; else its own, where the profile has any. Where it may not have them the guard says so. */
function dnsNamesOf({ dnsNames = NONE, profile }: Holder, wish: Wish): readonly string[] {
  return wish.dnsNames ?? (profile.dns.length > 0 ? dnsNames : NONE);
}

const NONE: readonly string[] = [];

/** Whoever names something twice means it once. */
function once(names: readonly string[]): readonly string[] {
  return [...new Set(names)];
}

/** Whom the guard refuses because nothing is issued to the holder at all is told the better reason. */
export function refused(
  request: AccessRequest,
  verdict: Extract<Verdict, { allowed: false }>,
  { fault }: Holder,
): WritError {
  if (fault !== undefined && verdict.rules[0] === 'guard.active') return fault;
  return refusal(request, verdict);
}

/** Undefined when there is nothing to say: the extension has at least one member. */
function extensionOf({ workflow, scopes }: Context): AgentContext | undefined {
  const extension: Mutable<AgentContext> = {};
  if (workflow !== undefined) extension.workflow = workflow;
  if (scopes.length > 0) extension.scopes = scopes;
  return workflow === undefined && scopes.length === 0 ? undefined : extension;
}

function octetsOf(text: string, index: number): Uint8Array {
  const octets = parseIpAddress(text);
  if (octets !== undefined) return octets;
  throw new WritError('bad_request', 'This is not an IP address.', {
    field: `/ip_addresses/${index}`,
    remedy: 'Give addresses like 10.0.0.7 or fd00::7.',
  });
}
