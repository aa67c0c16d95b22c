import { isWritError } from '../../base/error.ts';
import { sha256 } from '../../base/sha256.ts';
import { fromBase64url } from '../../jwt/base64url.ts';
import type { KubernetesEvidence } from '../../wire/attestation.ts';
import type { KubernetesParameters } from '../../wire/attestor.ts';
import { parseJsonObject } from '../../wire/json.ts';
import type { EvidenceFault, FetchedEvidence, Verified, Verifier, VerifierParts } from '../evidence.ts';
import { parseTrusted } from './given-chain.ts';
import { factsOfTexts, readable } from './readable.ts';

/** A cluster that says whose tokens are valid. */
export interface Cluster {
  /** Without a slash at the end. */
  readonly server: string;
  readonly ca: readonly string[];
  readonly audience: string;
  readonly reusable: boolean;
}

export interface KubernetesOptions {
  /**
   * The token by which this server may create TokenReviews in the cluster of an attestor (`system:auth-delegator`), read
   * anew each time, since Kubernetes changes it. Undefined: the token that is presented asks about itself.
   */
  readonly reviewer?: (attestor: string) => Promise<string | undefined>;
  /** How many questions may be under way at once; one more is refused as unreachable. Default 32. */
  readonly mostAtOnce?: number;
}

const MOST_AT_ONCE = 32;

/**
 * Service account tokens, each asked about at the cluster's own API (authentication.k8s.io/v1 TokenReview): a token whose
 * pod or account is gone is valid no more, whatever its `exp` says.
 */
export function kubernetesVerifier(options: KubernetesOptions = {}): Verifier<KubernetesEvidence, Cluster> {
  let underWay = 0;
  return {
    parse: ({ server, ca, audience, reusable }: KubernetesParameters) => {
      parseTrusted(ca, '/ca');
      return { server: server.replace(/\/+$/, ''), ca, audience, reusable: reusable ?? false };
    },
    verify: async (evidence, cluster, parts) => {
      const known = readToken(evidence.token, cluster, parts);
      if (typeof known === 'string') return refused(known);
      if (underWay >= (options.mostAtOnce ?? MOST_AT_ONCE)) return refused('unreachable');
      underWay += 1;
      try {
        const reviewer = (await options.reviewer?.(parts.attestor)) ?? evidence.token;
        return judge(await review(evidence.token, reviewer, cluster, parts), cluster, known);
      } finally {
        underWay -= 1;
      }
    },
  };
}

type Members = Readonly<Record<string, unknown>>;

/** What the token says of itself; believed only once the cluster has said that it is valid. */
interface Stated {
  readonly digest: Uint8Array;
  /** Until when it must be remembered, in milliseconds. */
  readonly until: number;
}

/** By how much clocks may differ. Milliseconds. */
const SKEW = 60_000;
/** A token without an end is remembered this long: ten years. */
const ENDLESS = 10 * 365 * 86_400_000;

/** Nobody is asked about what cannot be a token of this cluster for this server. */
function readToken(token: string, { audience }: Cluster, { clock }: VerifierParts): Stated | EvidenceFault {
  const octets = fromBase64url(token.split('.')[1] ?? '');
  const claims = octets && objectOrNothing(octets);
  if (claims === undefined) return 'malformed';
  const { aud, exp, sub, iss, jti } = claims;
  const audiences: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
  if (!audiences.includes(audience)) return 'wrong-audience';
  if (typeof sub !== 'string' || !ACCOUNT.test(sub)) return 'malformed';
  if (exp !== undefined && (typeof exp !== 'number' || !Number.isSafeInteger(exp) || exp < 0)) return 'malformed';
  const now = clock.now();
  if (exp !== undefined && exp * 1000 + SKEW <= now) return 'expired';
  const named = typeof jti === 'string' && jti !== '' && jti.length <= 256 && typeof iss === 'string';
  const what = named ? [iss, 'jti', jti] : ['signed', token.slice(0, token.lastIndexOf('.'))];
  return { digest: sha256(JSON.stringify(what)), until: exp === undefined ? now + ENDLESS : exp * 1000 + SKEW };
}

const ACCOUNT = /^system:serviceaccount:([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?):([a-z0-9][a-z0-9.-]{0,252})$/;

function review(
  token: string,
  reviewer: string,
  { server, ca, audience }: Cluster,
  { fetch }: VerifierParts,
): Promise<FetchedEvidence> {
  return fetch(`${server}/apis/authentication.k8s.io/v1/tokenreviews`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${reviewer}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenReview',
      spec: { token, audiences: [audience] },
    }),
    ca,
  });
}

function judge(answer: FetchedEvidence, { audience, reusable }: Cluster, known: Stated): Verified {
  // 401 and 403 say that the asker may not ask, which says nothing of the token.
  if (!answer.reached || (answer.status !== 201 && answer.status !== 200)) return refused('unreachable');
  const said = objectOrNothing(answer.body);
  if (said?.['kind'] !== 'TokenReview') return refused('unreachable');
  const status = objectOf(said['status']);
  if (status['authenticated'] !== true) return refused('not-authenticated');
  // A server that knows nothing of audiences names none, and has only looked whether the token is good for itself.
  const audiences = status['audiences'];
  if (!Array.isArray(audiences) || !audiences.includes(audience)) return refused('wrong-audience');
  const user = objectOf(status['user']);
  const account = typeof user['username'] === 'string' ? ACCOUNT.exec(user['username']) : null;
  if (account === null) return refused('not-admitted');
  const extra = objectOf(user['extra']);
  const of = (name: string): readonly string[] => {
    const values = extra[`authentication.kubernetes.io/${name}`];
    return Array.isArray(values) ? values.filter((value) => typeof value === 'string') : [];
  };
  const facts = factsOfTexts({
    'k8s:namespace': [account[1]],
    'k8s:service_account': [account[3]],
    'k8s:service_account_uid': typeof user['uid'] === 'string' ? [user['uid']] : [],
    'k8s:pod': of('pod-name'),
    'k8s:pod_uid': of('pod-uid'),
    'k8s:node': of('node-name'),
    'k8s:node_uid': of('node-uid'),
  });
  return {
    accepted: true,
    facts,
    reference: readable(account[0]),
    ...(reusable ? {} : { once: known }),
  };
}

function objectOrNothing(octets: Uint8Array): Members | undefined {
  try {
    return parseJsonObject(octets);
  } catch (error) {
    if (isWritError(error)) return undefined;
    throw error;
  }
}

function objectOf(value: unknown): Members {
  return typeof value === 'object' && value !== null ? (value as Members) : {};
}

function refused(fault: EvidenceFault): Verified {
  return { accepted: false, fault };
}
