import type { EvidenceFacts } from '../evidence.ts';
import { factsOfTexts, factText } from './readable.ts';

type Claims = Readonly<Record<string, unknown>>;

/** Claims about the token itself, of which no rule can make use. */
const OF_THE_TOKEN: ReadonlySet<string> = new Set([
  'exp',
  'nbf',
  'iat',
  'jti',
  'at_hash',
  'c_hash',
  'nonce',
  'rh',
  'uti',
]);

/** Who signs for the machines of Google Cloud. */
export const GOOGLE = 'https://accounts.google.com';

const NAME = /^[A-Za-z0-9_.:/-]{1,120}$/;
const MOST_VALUES = 64;
/** Characters of all facts out of claims together; what comes after is no fact. They all stand in the ledger. */
const MOST_TEXT = 12_000;
/** Never crowded out by others. */
const FIRST = ['iss', 'sub', 'aud'];

/**
 * What the claims of a token say, as facts: `oidc:iss`, `oidc:sub`, `oidc:aud` and `oidc:claim/NAME` for every claim that is
 * a text, a number, a truth value, or a list of such; besides `k8s:…` for a service account of Kubernetes and `gcp:…` for
 * a machine of Google Cloud. Undefined where the token contradicts itself.
 */
export function factsOfClaims(claims: Claims): EvidenceFacts | undefined {
  const facts: Record<string, readonly string[]> = {};
  let room = MOST_TEXT;
  for (const name of new Set([...FIRST, ...Object.keys(claims)])) {
    if (OF_THE_TOKEN.has(name) || !NAME.test(name)) continue;
    // An address that nobody says to have checked is whatever its owner typed; Azure AD is one that does not say.
    if (name === 'email' && String(claims['email_verified']) !== 'true') continue;
    const values = valuesOf(claims[name]);
    const takes = JSON.stringify([name, values]).length + 16;
    if (values.length === 0 || takes > room) continue;
    room -= takes;
    facts[FIRST.includes(name) ? `oidc:${name}` : `oidc:claim/${name}`] = values;
  }
  const kubernetes = kubernetesFacts(claims);
  // Rules see facts without who vouches for them: what another issuer says of Google's machines is no such fact.
  const google = claims['iss'] === GOOGLE ? computeEngineFacts(claims) : {};
  return kubernetes === undefined || google === undefined ? undefined : { ...facts, ...kubernetes, ...google };
}

function valuesOf(value: unknown): string[] {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (list.length > MOST_VALUES) return [];
  const texts = list.map(textOf);
  return texts.every((text) => text !== undefined) ? [...new Set(texts)] : [];
}

function textOf(value: unknown): string | undefined {
  if (typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))) return String(value);
  return typeof value === 'string' ? factText(value) : undefined;
}

/**
 * Projected service account tokens (Kubernetes, `kubernetes.io`): who runs, in which pod, on which node. `sub` must name the
 * same account.
 */
function kubernetesFacts(claims: Claims): EvidenceFacts | undefined {
  const said = objectOf(claims['kubernetes.io']);
  if (said === undefined) return {};
  const namespace = textOf(said['namespace']);
  const account = textOf(objectOf(said['serviceaccount'])?.['name']);
  if (namespace === undefined || account === undefined) return undefined;
  if (claims['sub'] !== `system:serviceaccount:${namespace}:${account}`) return undefined;
  return stated({
    'k8s:namespace': namespace,
    'k8s:service_account': account,
    'k8s:service_account_uid': objectOf(said['serviceaccount'])?.['uid'],
    'k8s:pod': objectOf(said['pod'])?.['name'],
    'k8s:pod_uid': objectOf(said['pod'])?.['uid'],
    'k8s:node': objectOf(said['node'])?.['name'],
    'k8s:node_uid': objectOf(said['node'])?.['uid'],
  });
}

/** Identity tokens of Google Cloud's metadata server in their full format: `google.compute_engine`. */
export function computeEngineFacts(claims: Claims): EvidenceFacts | undefined {
  const said = objectOf(objectOf(claims['google'])?.['compute_engine']);
  if (said === undefined) return {};
  const verified = claims['email_verified'] === true ? claims['email'] : undefined;
  return stated({
    'gcp:project_id': said['project_id'],
    'gcp:project_number': said['project_number'],
    'gcp:zone': said['zone'],
    'gcp:instance_id': said['instance_id'],
    'gcp:instance_name': said['instance_name'],
    'gcp:service_account': verified,
  });
}

function stated(facts: Readonly<Record<string, unknown>>): EvidenceFacts {
  return factsOfTexts(Object.fromEntries(Object.entries(facts).map(([name, value]) => [name, [textOf(value)]])));
}

function objectOf(value: unknown): Claims | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Claims) : undefined;
}
