import type { Caller } from '../base/access.ts';
import type { Reply } from '../http/route.ts';
import * as wire from '../wire/domain.ts';
import { byTrustDomain } from '../wire/federation.ts';
import { decodeCsr } from './csr.ts';
import { entityTag, type Nothing, type Operation, operation } from './operation.ts';
import { given } from './render.ts';

/** What the routes of further trust domains need. Each that takes a caller asks policy. */
export interface Domains {
  list(caller: Caller): Promise<readonly wire.Domain[]>;
  show(caller: Caller, trustDomain: string): Promise<wire.Domain>;
  create(caller: Caller, input: wire.CreateDomain): Promise<wire.Domain>;
  sign(
    caller: Caller,
    input: { readonly trustDomain: string; readonly csr: Uint8Array; readonly lifetime?: number },
  ): Promise<wire.SignedDomainAuthority>;
  rotate(caller: Caller, input: { readonly trustDomain: string } & wire.RotateDomain): Promise<wire.Domain>;
  revoke(
    caller: Caller,
    input: { readonly trustDomain: string; readonly authority: string } & wire.RevokeDomainAuthority,
  ): Promise<wire.DomainAuthority>;
  close(caller: Caller, trustDomain: string): Promise<wire.Domain>;
  /** Its SPIFFE bundle. Throws `not_found`. */
  bundle(trustDomain: string): Promise<object>;
}

export function domainOperations(domains: Domains): Operation[] {
  return [
    operation({
      id: 'listDomains',
      method: 'GET',
      path: '/v1/domains',
      access: 'caller',
      action: 'domain.read',
      summary: 'Further trust domains whose roots lie here.',
      answer: wire.domainList,
      example: { answer: { items: [EXAMPLE] } },
      handle: async ({ caller }) => ({ items: await domains.list(caller) }),
    }),
    operation({
      id: 'createDomain',
      method: 'POST',
      path: '/v1/domains',
      access: 'caller',
      action: 'domain.create',
      summary: 'Makes a further trust domain, with the profile by which its subordinate authorities are signed.',
      body: wire.createDomain,
      status: 201,
      answer: wire.domain,
      example: { body: { trust_domain: EXAMPLE.trust_domain, profile: EXAMPLE.profile }, answer: EXAMPLE },
      handle: ({ caller, body }) => domains.create(caller, body),
    }),
    operation({
      id: 'getDomain',
      method: 'GET',
      path: '/v1/domains/{trust_domain}',
      access: 'caller',
      action: 'domain.read',
      summary: 'One of them, with its authorities.',
      params: byTrustDomain,
      answer: wire.domain,
      example: { answer: EXAMPLE },
      handle: ({ caller, params }) => domains.show(caller, params.trust_domain),
    }),
    operation({
      id: 'signDomainAuthority',
      method: 'POST',
      path: '/v1/domains/{trust_domain}/authorities',
      access: 'caller',
      action: 'domain.sign',
      summary: 'Signs a subordinate authority of path length 0 for the key in a request.',
      params: byTrustDomain,
      body: wire.signDomain,
      status: 201,
      answer: wire.signedDomainAuthority,
      example: {
        body: { csr: '-----BEGIN CERTIFICATE REQUEST-----\nMIHG…\n-----END CERTIFICATE REQUEST-----\n' },
        answer: { ...AUTHORITY, kind: 'subordinate', chain: [AUTHORITY.certificate], root: AUTHORITY.certificate },
      },
      handle: ({ caller, params, body: { csr, lifetime_seconds } }) =>
        domains.sign(caller, {
          ...{ trustDomain: params.trust_domain, csr: decodeCsr(csr) },
          ...given('lifetime', lifetime_seconds),
        }),
    }),
    operation<{ readonly trust_domain: string }, Nothing, wire.RotateDomain, wire.Domain>({
      id: 'rotateDomain',
      method: 'POST',
      path: '/v1/domains/{trust_domain}/rotate',
      access: 'caller',
      action: 'domain.rotate',
      summary: 'Has another authority sign in a further trust domain, or another root follow.',
      params: byTrustDomain,
      body: wire.rotateDomain,
      answer: wire.domain,
      example: { body: { what: 'root' }, answer: EXAMPLE },
      handle: ({ caller, params, body: { what } }) =>
        domains.rotate(caller, { trustDomain: params.trust_domain, what }),
    }),
    operation({
      id: 'revokeDomainAuthority',
      method: 'POST',
      path: '/v1/domains/{trust_domain}/authorities/{authority}/revoke',
      access: 'caller',
      action: 'domain.revoke',
      summary: 'Revokes an authority of a further trust domain, for ever.',
      params: wire.byAuthority,
      body: wire.revokeDomainAuthority,
      answer: wire.domainAuthority,
      example: {
        body: { cause: 'key_theft' },
        answer: {
          ...{ ...AUTHORITY, kind: 'subordinate', state: 'ended' },
          revoked: { at: '2026-11-22T15:03:22.000Z', cause: 'key_theft' },
        },
      },
      handle: ({ caller, params: { trust_domain: trustDomain, authority }, body }) =>
        domains.revoke(caller, { trustDomain, authority, ...body }),
    }),
    operation({
      id: 'closeDomain',
      method: 'POST',
      path: '/v1/domains/{trust_domain}/close',
      access: 'caller',
      action: 'domain.close',
      summary: 'Deletes the keys of a further trust domain: nothing is signed in it any more.',
      params: byTrustDomain,
      answer: wire.domain,
      example: { answer: { ...EXAMPLE, state: 'closed' } },
      handle: ({ caller, params }) => domains.close(caller, params.trust_domain),
    }),
    operation<{ readonly trust_domain: string }, Nothing, Nothing, Reply>({
      id: 'getDomainBundle',
      method: 'GET',
      path: '/v1/trust/domains/{trust_domain}/bundle.json',
      access: 'public',
      summary: 'The SPIFFE bundle of a further trust domain whose root lies here.',
      params: byTrustDomain,
      raw: 'application/json',
      async handle({ params }) {
        const text = JSON.stringify(await domains.bundle(params.trust_domain));
        return { status: 200, body: text, cache: 'public, max-age=300', etag: entityTag(text) };
      },
    }),
  ];
}

const AUTHORITY: wire.DomainAuthority = {
  id: '01kaj8x5y7zq4m2n6p8r0t2v4w',
  kind: 'root',
  state: 'active',
  certificate: '-----BEGIN CERTIFICATE-----\nMIIB…\n-----END CERTIFICATE-----\n',
  not_after: '2036-11-20T14:03:22.000Z',
  created_at: '2026-11-22T14:03:22.000Z',
  created_by: 'spiffe://agents.example.com/operator/ada',
};

const EXAMPLE: wire.Domain = {
  trust_domain: 'partners.example',
  state: 'active',
  profile: { most_seconds: 604_800, keys: ['ec-p256', 'ec-p384'], most: 10 },
  created_at: AUTHORITY.created_at,
  created_by: AUTHORITY.created_by,
  sequence: 1_795_442_602_000,
  authorities: [AUTHORITY],
};
