import { WritError } from '../../base/error.ts';
import { REFRESH_HINT, x509BundleKey } from '../../ca/bundle/bundle.ts';
import { type DomainAuthority, domainAuthorities, readDomain } from '../../ca/domain/domain.ts';
import { EpochCache } from '../../db/epoch-cache.ts';
import { encodePem } from '../../der/pem.ts';
import { domainOperations as routes } from '../../rest/domains.ts';
import type { Operation } from '../../rest/operation.ts';
import { timeText } from '../../rest/render.ts';
import { closeDomain } from '../../spiffe/domain/close.ts';
import { createDomain } from '../../spiffe/domain/create.ts';
import {
  type DomainKeepParts,
  type DomainParts,
  type ShownDomain,
  showDomain,
  showDomains,
} from '../../spiffe/domain/parts.ts';
import { revokeDomainAuthority } from '../../spiffe/domain/revoke.ts';
import { rotateDomain } from '../../spiffe/domain/rotate.ts';
import { signDomainAuthority } from '../../spiffe/domain/sign.ts';
import type * as wire from '../../wire/domain.ts';
import { decodeNameConstraints } from '../../x509/extensions/name-constraints.ts';
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
    rotate: async (caller, wanted) => domainAnswer(await rotateDomain(caller, wanted, await acting(caller)), now()),
    revoke: async (caller, target) =>
      authorityAnswer(await revokeDomainAuthority(caller, target, await acting(caller))),
    close: async (caller, trustDomain) =>
      domainAnswer(await closeDomain(caller, trustDomain, await acting(caller)), now()),
    bundle: (trustDomain) =>
      bundles.read(trustDomain, async () => {
        const domain = await readDomain(parts.reader, trustDomain);
        if (domain === undefined) throw new WritError('not_found', 'The root of this trust domain is not here.');
        const authorities = await domainAuthorities(parts.reader, trustDomain, now());
        // Of one that was closed the last ones stay: what was signed lives on.
        const published = authorities.filter(({ kind, state }) => {
          return kind === 'root' && (state !== 'ended' || domain.state === 'closed');
        });
        return {
          spiffe_sequence: domain.sequence,
          spiffe_refresh_hint: REFRESH_HINT,
          keys: published.map(({ certificate }) => x509BundleKey(certificate)),
        };
      }),
  });
}

/** What the flows need, of a thread or of an administrator's command. */
export function domainParts(parts: ThreadParts): DomainParts {
  const { policy, refusals, hierarchy } = parts;
  const { permitted } = decodeNameConstraints(hierarchy.nameConstraints);
  return {
    ...domainKeepParts(parts),
    authorize: policy.authorize,
    own: ownTrust(parts),
    dnsNames: permitted.flatMap((name) => (name.kind === 'dns' ? [name.value] : [])),
    recordRefusal: refusals.record,
  };
}

/** What keeping their authorities needs, which the main thread does. */
export function domainKeepParts(parts: ThreadParts): DomainKeepParts {
  const { reader, commit, keyring, clock, random, hierarchy, statusUrl } = parts;
  return { reader, commit, keyring, clock, random, algorithm: hierarchy.algorithm, statusUrl };
}

export function inputOf({ trust_domain: trustDomain, profile }: wire.CreateDomain): Parameters<typeof createDomain>[1] {
  const { most_seconds: mostSeconds, keys, most } = profile;
  return { trustDomain, profile: { mostSeconds, keys, most } };
}

export function domainAnswer({ domain, authorities }: ShownDomain, now: number): wire.Domain {
  const { trustDomain, state, profile, sequence, createdAt, createdBy } = domain;
  const { mostSeconds, keys, most } = profile;
  return {
    trust_domain: trustDomain,
    state,
    profile: { most_seconds: mostSeconds, keys, most },
    sequence,
    created_at: timeText(createdAt),
    created_by: createdBy,
    authorities: authorities
      .filter(({ state: is, revoked, certificate }) => {
        return certificate.notAfter > now && (is !== 'ended' || revoked !== undefined || state === 'closed');
      })
      .map(authorityAnswer),
  };
}

function authorityAnswer(authority: DomainAuthority): wire.DomainAuthority {
  const { id, kind, state, signsFrom, revoked, certificate, createdAt, createdBy } = authority;
  return {
    ...{ id, kind, state },
    ...(signsFrom === undefined || state !== 'next' ? {} : { signs_from: timeText(signsFrom) }),
    ...(revoked === undefined ? {} : { revoked: { at: timeText(revoked.at), cause: revoked.cause } }),
    ...{ certificate: pemOf(authority), not_after: timeText(certificate.notAfter) },
    ...{ created_at: timeText(createdAt), created_by: createdBy },
  };
}

function pemOf({ certificate }: DomainAuthority): string {
  return encodePem('CERTIFICATE', certificate.raw);
}
