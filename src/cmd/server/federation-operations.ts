import { federatedDomains } from '../../attest/entry/federated.ts';
import type { Caller } from '../../base/access.ts';
import { demand } from '../../base/demand.ts';
import { readBundle } from '../../ca/bundle/bundle.ts';
import { EpochCache } from '../../db/epoch-cache.ts';
import type { AddressRule } from '../../http/outbound-address.ts';
import { parseSpiffeBundle } from '../../jwt/spiffe-bundle.ts';
import { federationOperations as routes } from '../../rest/federations.ts';
import type { Operation } from '../../rest/operation.ts';
import { timeText } from '../../rest/render.ts';
import { type Federation, listFederations } from '../../spiffe/federation.ts';
import { federationStatus } from '../../spiffe/federation-status.ts';
import { describeBundle, type OwnTrust } from '../../spiffe/judge-bundle.ts';
import {
  addFederation,
  type FederationInput,
  type FederationParts,
  refreshFederation,
  removeFederation,
  replaceBundle,
  showFederation,
  showFederations,
} from '../../spiffe/manage.ts';
import type * as wire from '../../wire/federation.ts';
import { forCaller } from './for-caller.ts';
import type { ThreadParts } from './thread-parts.ts';

/** Federation with other trust domains. The bundles themselves are fetched by the main thread. */
export function federationOperations(parts: ThreadParts, allowed: AddressRule): Operation[] {
  const federation = federationParts(parts, allowed);
  const acting = forCaller(federation, parts, { policy: true });
  const answer = (one: Federation): wire.Federation => federationAnswer(one, parts.clock.now());
  const known = new EpochCache<readonly Federation[]>(parts.epoch, 1);
  return routes({
    list: async (caller) => (await showFederations(caller, federation)).map(answer),
    show: async (caller, trustDomain) => answer(await showFederation(caller, trustDomain, federation)),
    add: async (caller, input, options) =>
      answer(await addFederation(caller, inputOf(input), await acting(caller), options)),
    replace: async (caller, input, options) =>
      answer(await replaceBundle(caller, input, await acting(caller), options)),
    refresh: async (caller, trustDomain) => answer(await refreshFederation(caller, trustDomain, await acting(caller))),
    remove: async (caller, trustDomain, options) =>
      answer(await removeFederation(caller, trustDomain, await acting(caller), options)),
    bundles: async (caller) => bundlesFor(caller),
  });

  async function bundlesFor(caller: Caller): Promise<wire.FederatedBundles> {
    const { authorize } = federation;
    demand(authorize, { caller, action: 'federation.read', resource: { type: 'Installation', id: 'writ' } });
    const all = await known.read('', () => listFederations(parts.reader));
    const wanted = await federatedDomains(parts.reader, caller);
    const bundles = all.flatMap(({ trustDomain, bundle }) =>
      bundle === undefined || wanted?.has(trustDomain) === false ? [] : [[trustDomain, bundleAnswer(bundle)] as const],
    );
    return { trust_domains: Object.fromEntries(bundles) };
  }
}

/** What the flows of federation need, of a thread or of an administrator's command. */
export function federationParts(parts: ThreadParts, allowed: AddressRule): FederationParts {
  const { reader, commit, clock, policy, refusals } = parts;
  return {
    ...{ reader, commit, clock, authorize: policy.authorize, allowed, own: ownTrust(parts) },
    recordRefusal: refusals.record,
  };
}

/** What nobody else may claim: every authority of ours, and every key of tokens. */
export function ownTrust({
  reader,
  hierarchy,
  authority,
}: Pick<ThreadParts, 'reader' | 'hierarchy' | 'authority'>): () => Promise<OwnTrust> {
  return async () => {
    const published = await readBundle(reader);
    const tokens = parseSpiffeBundle(Buffer.from(JSON.stringify({ keys: published?.keys ?? [] })), 'bundle').jwtKeys;
    return {
      trustDomain: hierarchy.trustDomain,
      keys: [
        ...authority.authorities().map(({ certificate }) => certificate.spki),
        ...tokens.map(({ key }) => new Uint8Array(key.export({ type: 'spki', format: 'der' }))),
      ],
    };
  };
}

export function inputOf(body: wire.AddFederation): FederationInput {
  const { trust_domain: trustDomain, endpoint_id: endpointId, ...rest } = body;
  return { trustDomain, ...rest, ...(endpointId === undefined ? {} : { endpointId }) };
}

/** Without refresh hint, which would be about the map as a whole (SPIFFE Trust Domain and Bundle §5.1.1). */
function bundleAnswer({ sequence, keys }: NonNullable<Federation['bundle']>): wire.FederatedBundle {
  return {
    ...(sequence === undefined ? {} : { spiffe_sequence: sequence }),
    keys: keys as unknown as readonly wire.BundleKey[],
  };
}

export function federationAnswer(federation: Federation, now: number): wire.Federation {
  const { trustDomain, url, profile, endpointId, bundle, fault, source, createdBy } = federation;
  const { sequence, roots, jwt_keys } = describeBundle(bundle ?? { keys: [] });
  const at = (name: string, ms: number | undefined) => (ms === undefined ? {} : { [name]: timeText(ms) });
  return {
    trust_domain: trustDomain,
    url,
    profile,
    ...(endpointId === undefined ? {} : { endpoint_id: endpointId }),
    status: federationStatus(federation, now),
    ...(fault === undefined ? {} : { fault }),
    ...(sequence === undefined ? {} : { sequence }),
    ...(bundle?.refreshHint === undefined ? {} : { refresh_hint: bundle.refreshHint }),
    roots,
    jwt_keys,
    ...(source === undefined ? {} : { source }),
    ...at('bundle_at', federation.bundleAt),
    ...at('good_at', federation.goodAt),
    ...at('tried_at', federation.triedAt),
    next_poll_at: timeText(federation.pollAt),
    created_at: timeText(federation.createdAt),
    created_by: createdBy,
  };
}
