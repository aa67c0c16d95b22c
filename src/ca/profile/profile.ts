import { WritError } from '../../base/error.ts';
import { isName, type Name } from '../../spiffe-id/name.ts';
import type { Subject } from '../../spiffe-id/subject.ts';
import { isHostName } from '../../x509/path/host-name.ts';
import type { PublicKeyAlgorithm } from '../../x509/public-key.ts';
import { parseNetwork } from './network.ts';

/** What the leaf certificates of one kind may look like. Data: stored in table `profile`, published through REST. */
export interface Profile {
  readonly name: Name;
  /** Whose certificates may follow it. */
  readonly subjects: readonly Subject['kind'][];
  /** Kinds of subject key; RSA keys have at least 2048 bits in any case. */
  readonly keys: readonly PublicKeyAlgorithm[];
  /** Seconds. A request chooses between `least` and `most`; what it hangs on may end it sooner. */
  readonly lifetime: { readonly default: number; readonly least: number; readonly most: number };
  /** A DNS name is allowed when it is one of these or below one. Empty: none is. */
  readonly dns: readonly string[];
  /** An IP address is allowed when it lies in one of these networks, e.g. `10.0.0.0/8`. Empty: none is. */
  readonly networks: readonly string[];
  /** Whether the extension with workflow, task and scopes is written when there is any of these. */
  readonly context: boolean;
  /**
   * How the end of a certificate becomes known before its expiry. `revocable`: it names a revocation list and an OCSP
   * responder. `ephemeral`: it says that nothing is published about it, because it does not live long enough (RFC 9608).
   */
  readonly revocation: (typeof REVOCATIONS)[number];
}

const REVOCATIONS = ['revocable', 'ephemeral'] as const;

const SUBJECTS = ['agent', 'service', 'operator', 'server'] as const satisfies readonly Subject['kind'][];

const ALGORITHMS = [
  'ec-p256',
  'ec-p384',
  'ec-p521',
  'ed25519',
  'ml-dsa-44',
  'ml-dsa-65',
  'ml-dsa-87',
  'rsa',
] as const satisfies readonly PublicKeyAlgorithm[];

/** Names of what authorities and OCSP responders are made by; those are no data. */
const RESERVED: readonly string[] = ['root', 'upstream', 'intermediate', 'issuing', 'responder'];

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const LONGEST_LIFETIME = 366 * DAY;
/** What a profile for agents may say. An agent whose certificate lived longer would outlive whoever should answer for it. */
const AGENTS_LIFETIME = { least: 5 * MINUTE, most: DAY };
/** Of what nobody can revoke anywhere but at Writ itself. */
const EPHEMERAL_LIFETIME = { least: MINUTE, most: 5 * MINUTE };
const MOST_NAMES = 100;

/** All kinds of key but P-521, which hardly anything offers, and RSA, which is large and slow for a life of an hour. */
const USUAL_KEYS: Profile['keys'] = ['ec-p256', 'ec-p384', 'ed25519', 'ml-dsa-44', 'ml-dsa-65', 'ml-dsa-87'];

/** The profiles that every installation begins with. `permitted` are the names that its authorities vouch for. */
export function builtInProfiles(permitted: Pick<Profile, 'dns' | 'networks'>): Profile[] {
  const base = { keys: USUAL_KEYS, dns: [], networks: [], context: false, revocation: 'revocable' } as const;
  const hour = { default: HOUR, least: 5 * MINUTE, most: DAY };
  return [
    { ...base, name: 'agent' as Name, subjects: ['agent'], lifetime: hour, context: true },
    { ...base, ...permitted, name: 'service' as Name, subjects: ['service'], lifetime: hour, context: true },
    {
      ...base,
      name: 'operator' as Name,
      subjects: ['operator'],
      lifetime: { default: 30 * DAY, least: HOUR, most: 30 * DAY },
    },
    {
      ...base,
      ...permitted,
      name: 'server' as Name,
      subjects: ['server'],
      lifetime: { default: DAY, least: HOUR, most: DAY },
    },
  ];
}

/**
 * Reads a profile strictly: all members there, none unknown, numbers in range and in order. Throws `bad_request` with a
 * JSON pointer to the member, e.g. `/lifetime/most`.
 */
export function parseProfile(value: unknown): Profile {
  const members = ['name', 'subjects', 'keys', 'lifetime', 'dns', 'networks', 'context', 'revocation'];
  const given = object(value, '', members);
  const name = given['name'];
  if (typeof name !== 'string' || !isName(name)) {
    fail('/name', 'is not a name', 'Use 1 to 63 lower-case letters, digits and dashes.');
  }
  if (RESERVED.includes(name)) fail('/name', 'is one of an authority or responder', 'Use another name.');
  const keys = list(given['keys'], '/keys', (item) => ALGORITHMS.find((algorithm) => algorithm === item));
  const subjects = list(given['subjects'], '/subjects', (item) => SUBJECTS.find((subject) => subject === item));
  const mode = REVOCATIONS.find((known) => known === given['revocation']);
  if (mode === undefined) fail('/revocation', 'is unknown', `Use one of: ${REVOCATIONS.join(', ')}.`);
  const bounds = boundsOf(subjects, mode);
  const lifetime = object(given['lifetime'], '/lifetime', ['default', 'least', 'most']);
  const least = seconds(lifetime['least'], '/lifetime/least', bounds);
  const usual = seconds(lifetime['default'], '/lifetime/default', { ...bounds, least });
  const most = seconds(lifetime['most'], '/lifetime/most', { ...bounds, least: usual });
  if (subjects.length === 0) fail('/subjects', 'is for nobody', `Use one or more of: ${SUBJECTS.join(', ')}.`);
  if (keys.length === 0) fail('/keys', 'allows no key at all', `Use one or more of: ${ALGORITHMS.join(', ')}.`);
  if (typeof given['context'] !== 'boolean') fail('/context', 'is not true or false', 'Use true or false.');
  return {
    name,
    subjects,
    keys,
    lifetime: { default: usual, least, most },
    dns: list(given['dns'], '/dns', (item) => (isHostName(item) && item === item.toLowerCase() ? item : undefined)),
    networks: list(given['networks'], '/networks', (item) => (parseNetwork(item) === undefined ? undefined : item)),
    context: given['context'],
    revocation: mode,
  };
}

/** The longest life that any of the profiles gives, in seconds. */
export function longestLifetime(profiles: readonly Profile[]): number {
  return Math.max(0, ...profiles.map((profile) => profile.lifetime.most));
}

function boundsOf(subjects: Profile['subjects'], mode: Profile['revocation']): typeof EPHEMERAL_LIFETIME {
  if (mode === 'ephemeral') return EPHEMERAL_LIFETIME;
  return subjects.includes('agent') ? AGENTS_LIFETIME : { least: MINUTE, most: LONGEST_LIFETIME };
}

function seconds(value: unknown, field: string, { least, most }: { least: number; most: number }): number {
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return value as number;
  fail(field, 'is not a number of seconds in range', `Use a whole number from ${least} to ${most}.`);
}

function list<T extends string>(value: unknown, field: string, parse: (item: string) => T | undefined): readonly T[] {
  if (!Array.isArray(value) || value.length > MOST_NAMES) {
    fail(field, 'is not a list', `Use a list of at most ${MOST_NAMES} texts.`);
  }
  const items = value.map((item: unknown, index) => {
    const parsed = typeof item === 'string' ? parse(item) : undefined;
    if (parsed === undefined) fail(`${field}/${index}`, 'is not known or malformed', FORMS[field]!);
    return parsed;
  });
  if (new Set(items).size !== items.length) fail(field, 'names something twice', 'Name each once.');
  return items;
}

const FORMS: Readonly<Record<string, string>> = {
  '/subjects': `Use one of: ${SUBJECTS.join(', ')}.`,
  '/keys': `Use one of: ${ALGORITHMS.join(', ')}.`,
  '/dns': 'Use a host name in lower case, without wildcard; names below it are allowed, too.',
  '/networks': 'Use a network like 10.0.0.0/8; a single address is 192.0.2.1/32.',
};

function object(value: unknown, field: string, members: readonly string[]): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    fail(field, 'is not an object', `Use an object with ${members.join(', ')}.`);
  }
  const found = value as Record<string, unknown>;
  const unknown = Object.keys(found).some((key) => !members.includes(key));
  if (unknown) fail(field, 'has a member that is not known', `Known here: ${members.join(', ')}.`);
  const missing = members.find((member) => found[member] === undefined);
  if (missing !== undefined) fail(`${field}/${missing}`, 'is missing', 'Give it.');
  return found;
}

function fail(field: string, fault: string, remedy: string): never {
  throw new WritError('bad_request', `The profile’s ${field === '' ? 'text' : field} ${fault}.`, { field, remedy });
}
