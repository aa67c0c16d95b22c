import type { Caller } from '../base/access.ts';
import * as wire from '../wire/federation.ts';
import { type Operation, operation, type WriteOptions } from './operation.ts';

/** What the routes of federation need. Each asks policy. */
export interface Federations {
  list(caller: Caller): Promise<readonly wire.Federation[]>;
  show(caller: Caller, trustDomain: string): Promise<wire.Federation>;
  add(caller: Caller, input: wire.AddFederation, options: WriteOptions): Promise<wire.Federation>;
  replace(
    caller: Caller,
    input: { readonly trustDomain: string; readonly bundle: string },
    options: WriteOptions,
  ): Promise<wire.Federation>;
  refresh(caller: Caller, trustDomain: string): Promise<wire.Federation>;
  remove(caller: Caller, trustDomain: string, options: WriteOptions): Promise<wire.Federation>;
  /** The bundles of those trust domains whose SVIDs the caller is to believe. */
  bundles(caller: Caller): Promise<wire.FederatedBundles>;
}

/** A bundle as text inside JSON. */
const BODY_LIMIT = 640 * 1024;

export function federationOperations(federations: Federations): Operation[] {
  return [
    operation({
      id: 'listFederations',
      method: 'GET',
      path: '/v1/federations',
      access: 'caller',
      action: 'federation.read',
      summary: 'Other trust domains whose SVIDs are believed.',
      answer: wire.federationList,
      example: { answer: { items: [EXAMPLE] } },
      handle: async ({ caller }) => ({ items: await federations.list(caller) }),
    }),
    operation({
      id: 'addFederation',
      method: 'POST',
      path: '/v1/federations',
      access: 'caller',
      action: 'federation.manage',
      summary: 'Has SVIDs of another trust domain believed, whose bundle is fetched from now on.',
      body: wire.addFederation,
      bodyLimit: BODY_LIMIT,
      status: 201,
      answer: wire.federation,
      example: {
        body: { trust_domain: EXAMPLE.trust_domain, url: EXAMPLE.url, profile: 'https_web' },
        answer: EXAMPLE,
      },
      handle: ({ caller, body, idempotency }) => federations.add(caller, body, { idempotency }),
    }),
    operation({
      id: 'getFederation',
      method: 'GET',
      path: '/v1/federations/{trust_domain}',
      access: 'caller',
      action: 'federation.read',
      summary: 'One of them.',
      params: wire.byTrustDomain,
      answer: wire.federation,
      example: { answer: EXAMPLE },
      handle: ({ caller, params }) => federations.show(caller, params.trust_domain),
    }),
    operation({
      id: 'replaceFederatedBundle',
      method: 'PUT',
      path: '/v1/federations/{trust_domain}/bundle',
      access: 'caller',
      action: 'federation.manage',
      summary: 'Puts a bundle in by hand, which counts until the next one is fetched, whatever its sequence.',
      params: wire.byTrustDomain,
      body: wire.replaceBundle,
      bodyLimit: BODY_LIMIT,
      answer: wire.federation,
      example: { body: { bundle: '{"keys": […]}' }, answer: { ...EXAMPLE, source: 'given' } },
      handle: ({ caller, params, body: { bundle }, idempotency }) =>
        federations.replace(caller, { trustDomain: params.trust_domain, bundle }, { idempotency }),
    }),
    operation({
      id: 'refreshFederation',
      method: 'POST',
      path: '/v1/federations/{trust_domain}/refresh',
      access: 'caller',
      action: 'federation.manage',
      summary: 'Has the bundle fetched at once.',
      params: wire.byTrustDomain,
      answer: wire.federation,
      example: { answer: EXAMPLE },
      handle: ({ caller, params }) => federations.refresh(caller, params.trust_domain),
    }),
    operation({
      id: 'removeFederation',
      method: 'DELETE',
      path: '/v1/federations/{trust_domain}',
      access: 'caller',
      action: 'federation.manage',
      summary: 'Has nothing of that trust domain believed any more.',
      params: wire.byTrustDomain,
      answer: wire.federation,
      example: { answer: EXAMPLE },
      handle: ({ caller, params, idempotency }) => federations.remove(caller, params.trust_domain, { idempotency }),
    }),
    operation({
      id: 'getFederatedBundles',
      method: 'GET',
      path: '/v1/trust/federated',
      access: 'caller',
      action: 'federation.read',
      summary: 'The bundles of other trust domains for the caller, each for that domain alone: a SPIFFE Bundle Map.',
      answer: wire.federatedBundles,
      cache: 'private, no-cache',
      example: { answer: { trust_domains: { 'partner.example': { spiffe_sequence: 7, keys: [] } } } },
      handle: ({ caller }) => federations.bundles(caller),
    }),
  ];
}

const EXAMPLE: wire.Federation = {
  trust_domain: 'partner.example',
  url: 'https://id.partner.example/bundle.json',
  profile: 'https_web',
  status: 'good',
  sequence: 7,
  refresh_hint: 300,
  roots: ['5f2b0c9d8e7a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c'],
  jwt_keys: ['NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs'],
  source: 'fetched',
  bundle_at: '2026-11-22T14:03:22.000Z',
  good_at: '2026-11-22T14:08:22.000Z',
  tried_at: '2026-11-22T14:08:22.000Z',
  next_poll_at: '2026-11-22T14:13:10.000Z',
  created_at: '2026-11-22T14:03:20.000Z',
  created_by: 'spiffe://agents.example.com/operator/ada',
};
