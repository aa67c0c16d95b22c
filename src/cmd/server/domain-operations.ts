import { WritError } from '../../base/error.ts';
import { type DomainAuthority, domainAuthorities } from '../../ca/domain.ts';
import { REFRESH_HINT, x509BundleKey } from '../../ca/trust-bundle.ts';
import { EpochCache } from '../../db/epoch-cache.ts';
import { encodePem } from '../../der/pem.ts';
import { domainOperations as routes } from '../../rest/domains.ts';
import type { Operation } from '../../rest/operation.ts';
import { timeText } from '../../rest/render.ts';
import {
  closeDomain,
  createDomain,
  type DomainParts,
  type ShownDomain,
  showDomain,
  showDomains,
  signDomainAuthority,
} from '../../spiffe/domains.ts';
import type * as wire from '../../wire/domain.ts';
import { ownTrust } from './federation-operations.ts';
import { forCaller } from './for-caller.ts';
import type { ThreadParts } from './thread-parts.ts';

/** Bundles that one thread keeps. */
const KEPT = 100;

/** Further trust domains whose roots lie here. */
export function domainOperations(parts: ThreadParts): Operation[] {
  const domains = domainParts(parts);
  const acting = forCaller(domains, parts, { policy: true });
  const { now } = parts.clock;
  const bundles = new EpochCache<object>(parts.epoch, KEPT);
  return routes({
    list: async (caller) => (await showDomains(caller, domains)).map((one) => domainAnswer(one, now())),
    show: async (caller, trustDomain) => domainAnswer(await showDomain(caller, trustDomain, domains), now()),
    create: async (caller, input) =>
      domainAnswer(await createDomain(caller, inputOf(input), await acting(caller)), now()),
    async sign(caller, input) {
      const { authority, above } = await signDomainAuthority(caller, input, await acting(caller));
      const of = (kind: DomainAuthority['kind']): string => pemOf(above.find((one) => one.kind === kind)!);
      return { ...authorityAnswer(authority), chain: [of('intermediate')], root: of('root') };
    },
    close: async (caller, trustDomain) =>
      domainAnswer(await closeDomain(caller, trustDomain, await acting(caller)), now()),
    bundle: (trustDomain) =>
      bundles.read(trustDomain, async () => {
        const root = (await domainAuthorities(parts.reader, trustDomain)).find(({ kind }) => kind === 'root');
        if (root === undefined) throw new WritError('not_found', 'The root of this trust domain is not here.');
        return {
          spiffe_sequence: root.createdAt,
          spiffe_refresh_hint: REFRESH_HINT,
          keys: [x509BundleKey(root.certificate)],
        };
      }),
  });
}

/** What the flows need, of a thread or of an administrator's command. */
export function domainParts(parts: ThreadParts): DomainParts {
  const { reader, commit, keyring, clock, random, hierarchy, policy, refusals } = parts;
  return {
    ...{ reader, commit, keyring, clock, random, algorithm: hierarchy.algorithm, authorize: policy.authorize },
    own: ownTrust(parts),
    recordRefusal: refusals.record,
  };
}

export function inputOf({ trust_domain: trustDomain, profile }: wire.CreateDomain): Parameters<typeof createDomain>[1] {
  const { most_seconds: mostSeconds, keys, most } = profile;
  return { trustDomain, profile: { mostSeconds, keys, most } };
}

export function domainAnswer({ domain, authorities }: ShownDomain, now: number): wire.Domain {
  const { trustDomain, state, profile, createdAt, createdBy } = domain;
  const { mostSeconds, keys, most } = profile;
  return {
    trust_domain: trustDomain,
    state,
    profile: { most_seconds: mostSeconds, keys, most },
    created_at: timeText(createdAt),
    created_by: createdBy,
    authorities: authorities
      .filter(({ kind, certificate }) => kind !== 'subordinate' || certificate.notAfter > now)
      .map(authorityAnswer),
  };
}

function authorityAnswer(authority: DomainAuthority): wire.DomainAuthority {
  const { id, kind, certificate, createdAt, createdBy } = authority;
  return {
    ...{ id, kind, certificate: pemOf(authority), not_after: timeText(certificate.notAfter) },
    ...{ created_at: timeText(createdAt), created_by: createdBy },
  };
}

function pemOf({ certificate }: DomainAuthority): string {
  return encodePem('CERTIFICATE', certificate.raw);
}
