import { WritError } from '../base/error.ts';
import { unmatched } from '../wire/match-facts.ts';
import { SAID_BY_RUNTIME } from '../wire/runtime-facts.ts';
import type { EvidenceFacts } from './evidence.ts';

/** What `writ agent` sees of a process. */
const SEEN_BY_NODES: readonly string[] = ['unix', 'systemd', 'container', 'k8s'];

/** What an orchestrator calls an instance by that runs in its own process. */
export const REFERENCE = 'parent:reference';

/** By kind of attestor, what it vouches for; every kind may come with what the runtime says. */
const VOUCHED_FOR: Readonly<Record<string, readonly string[]>> = {
  oidc: ['oidc', 'k8s', 'gcp', 'agent'],
  x509pop: ['x509', 'agent'],
  k8s: ['k8s', 'agent'],
  aws: ['aws', 'agent'],
  gcp: ['gcp', 'oidc', 'agent'],
  azure: ['azure', 'agent'],
  tpm: ['tpm', 'agent'],
};

/** By prefix, all names that there are behind it, where they are known; one that ends in a slash begins others. */
const NAMES: Readonly<Record<string, readonly string[]>> = {
  unix: ['uid', 'gid', 'user', 'group', 'supplementary_gid', 'path', 'sha256', 'cgroup'],
  systemd: ['unit', 'slice', 'user_unit'],
  container: ['id', 'image', 'image_id', 'image_digest', 'label/'],
  k8s: [
    ...['namespace', 'service_account', 'service_account_uid', 'pod', 'pod_uid', 'node', 'node_uid'],
    ...['container', 'label/'],
  ],
  parent: [REFERENCE.slice('parent:'.length)],
  oidc: ['iss', 'sub', 'aud', 'claim/'],
  agent: [...SAID_BY_RUNTIME, 'image_signed_by', 'verified', 'claimed'],
};

const NUMBER = { form: /^(?:\d+\*?|\*)$/, remedy: 'Give a number; for names there are unix:user and unix:group.' };

/** What values look like, where people write others that nothing can ever match. */
const VALUES: Readonly<Record<string, { readonly form: RegExp; readonly remedy: string }>> = {
  'unix:uid': NUMBER,
  'unix:gid': NUMBER,
  'unix:supplementary_gid': NUMBER,
  'unix:path': { form: /^(?:\/|\*$)/, remedy: 'Give an absolute path, like /opt/planner/bin/planner.' },
};

/** The prefixes of the facts that can come from such a source. `source`: a kind of attestor, or `node`. */
export function prefixesOf(source: string): readonly string[] {
  return source === 'node' ? [...SEEN_BY_NODES, 'parent', 'agent'] : (VOUCHED_FOR[source] ?? []);
}

/** What a node can have seen of that which it says; what others vouch for, it may not say in their place. */
export function seenByNode(facts: EvidenceFacts): EvidenceFacts {
  return Object.fromEntries(
    Object.entries(facts).filter(([name]) => SEEN_BY_NODES.includes(name.slice(0, name.indexOf(':')))),
  );
}

const MATCHERS_MOST = 32;
const MATCHER = /^([a-z0-9]+):([^\s=\p{C}]{1,128})=([^\p{C}]{1,1024})$/u;

/**
 * What an entry asks for, as it may be: in order, none twice. Throws `bad_request` and `too_large` with the field as a JSON
 * pointer. A fact that the source never has would keep everybody out, so it is refused here.
 */
export function parseMatch(match: readonly string[], source: string, field: string): readonly string[] {
  if (match.length === 0) {
    throw new WritError('bad_request', 'The entry asks for nothing, so it would let everybody in.', {
      field,
      remedy: 'Give at least one fact, like unix:uid=1000 or oidc:sub=repo:org/app:*.',
    });
  }
  if (match.length > MATCHERS_MOST) {
    throw new WritError('too_large', 'There are too many facts to match.', {
      field,
      remedy: `Give at most ${MATCHERS_MOST}.`,
    });
  }
  const prefixes = prefixesOf(source);
  for (const [at, text] of match.entries()) {
    const parsed = MATCHER.exec(text);
    if (parsed === null) {
      throw new WritError('bad_request', 'A fact to match is not a name, an equals sign and a value.', {
        field: `${field}/${at}`,
        remedy: 'Write it like unix:uid=1000; a value may end in *.',
      });
    }
    if (!prefixes.includes(parsed[1]!)) {
      throw new WritError('bad_request', `No evidence from this source says anything about ${parsed[1]}.`, {
        field: `${field}/${at}`,
        remedy: `Give facts that begin with ${prefixes.map((prefix) => `${prefix}:`).join(', ')}.`,
      });
    }
    const names = NAMES[parsed[1]!];
    if (names?.some((name) => isNamed(parsed[2]!, name)) === false) {
      throw new WritError('bad_request', `There is no fact of that name among those of ${parsed[1]}.`, {
        field: `${field}/${at}`,
        remedy: `Give one of ${names.map((name) => `${parsed[1]}:${name}${name.endsWith('/') ? 'NAME' : ''}`).join(', ')}.`,
      });
    }
    const name = `${parsed[1]}:${parsed[2]}`;
    const wanted = VALUES[name];
    if (wanted !== undefined && !wanted.form.test(parsed[3]!)) {
      throw new WritError('bad_request', `No process ever has that value of ${name}.`, {
        field: `${field}/${at}`,
        remedy: wanted.remedy,
      });
    }
  }
  return [...new Set(match)].sort();
}

function isNamed(given: string, name: string): boolean {
  return name.endsWith('/') ? given.startsWith(name) && given.length > name.length : given === name;
}

/** Whether all that an entry asks for holds. */
export function matches(match: readonly string[], facts: EvidenceFacts): boolean {
  return unmatched(match, facts).length === 0;
}

/** `name=value`, in order: how rules see facts. */
export function pairsOf(facts: EvidenceFacts): readonly string[] {
  return Object.entries(facts)
    .flatMap(([name, values]) => values.map((value) => `${name}=${value}`))
    .sort();
}

/** How much the facts of one instance take at most, as JSON: they all stand in its entry of the ledger. */
const FACTS_MOST = 24 * 1024;
const NAME = /^[a-z0-9]+:[^\s=\p{C}]{1,128}$/u;

/**
 * Facts in one order, each value once, for the ledger and the database. Throws `bad_request` for a name or value that is
 * none, and `too_large`.
 */
export function orderedFacts(facts: EvidenceFacts, field: string): EvidenceFacts {
  const ordered: Record<string, readonly string[]> = {};
  for (const name of Object.keys(facts).sort()) {
    const values = [...new Set(facts[name]!)].sort();
    if (
      !NAME.test(name) ||
      !values.every((value) => value.length <= 1024 && value.isWellFormed() && !/\p{Cc}/u.test(value))
    ) {
      throw new WritError('bad_request', 'A fact has a name or value that is none.', {
        field,
        remedy: 'Give names like unix:uid, and values of one line of at most 1024 characters.',
      });
    }
    if (values.length > 0) ordered[name] = values;
  }
  if (JSON.stringify(ordered).length <= FACTS_MOST) return ordered;
  throw new WritError('too_large', 'There are more facts than one entry of the ledger holds.', {
    field,
    remedy: `Give at most ${FACTS_MOST / 1024} KiB.`,
  });
}
