import { WritError } from '../base/error.ts';
import { type Name, parseName } from '../spiffe-id/name.ts';
import { isHostName } from '../x509/path/host-name.ts';
import type { AgentData, AgentKind, Labels, Model } from './agent.ts';

/** What a door hands over to register an agent or service; every field is still to be checked. */
export interface AgentInput {
  readonly name: string;
  readonly kind: AgentKind;
  readonly owner: { readonly team: string; readonly sponsor: string };
  readonly purpose: string;
  /** Default `production`. */
  readonly environment?: string;
  readonly model?: Model;
  readonly labels?: Labels;
  readonly dnsNames?: readonly string[];
  /** Default: the profile of the kind's name. */
  readonly profile?: string;
}

/** What is to change; an absent field stays as it is. `labels`, `dnsNames` and `model` replace the former ones whole. */
export interface AgentChange {
  readonly owner?: { readonly team?: string; readonly sponsor?: string };
  readonly purpose?: string;
  readonly environment?: string;
  readonly model?: Model;
  readonly labels?: Labels;
  readonly dnsNames?: readonly string[];
  readonly profile?: string;
}

/** Longest texts, in characters. Together with 32 labels they keep an agent far below the size of a ledger entry. */
const LONGEST = { sponsor: 254, purpose: 512, model: 128, label: 255 } as const;
const LABELS_MOST = 32;
const DNS_NAMES_MOST = 16;

/** Throws `bad_request`, or `too_large` for too many labels, with the field as a JSON pointer. */
export function parseAgentInput(input: AgentInput): AgentData & { readonly name: Name; readonly kind: AgentKind } {
  return {
    name: parseName(input.name, '/name'),
    kind: input.kind,
    team: parseName(input.owner.team, '/owner/team'),
    sponsor: parseText(input.owner.sponsor, '/owner/sponsor', LONGEST.sponsor),
    purpose: parseText(input.purpose, '/purpose', LONGEST.purpose),
    environment: parseName(input.environment ?? 'production', '/environment'),
    ...(input.model === undefined ? {} : { model: parseModel(input.model) }),
    labels: parseLabels(input.labels ?? {}, '/labels'),
    dnsNames: parseDnsNames(input.dnsNames ?? []),
    profile: parseName(input.profile ?? input.kind, '/profile'),
  };
}

/** What the agent would be after `change`. Throws as `parseAgentInput`. */
export function applyChange(before: AgentData, change: AgentChange): AgentData {
  const model = change.model === undefined ? before.model : parseModel(change.model);
  const { owner = {} } = change;
  return {
    team: owner.team === undefined ? before.team : parseName(owner.team, '/owner/team'),
    sponsor: owner.sponsor === undefined ? before.sponsor : parseText(owner.sponsor, '/owner/sponsor', LONGEST.sponsor),
    purpose: change.purpose === undefined ? before.purpose : parseText(change.purpose, '/purpose', LONGEST.purpose),
    environment: change.environment === undefined ? before.environment : parseName(change.environment, '/environment'),
    ...(model === undefined ? {} : { model }),
    labels: change.labels === undefined ? before.labels : parseLabels(change.labels, '/labels'),
    dnsNames: change.dnsNames === undefined ? before.dnsNames : parseDnsNames(change.dnsNames),
    profile: change.profile === undefined ? before.profile : parseName(change.profile, '/profile'),
  };
}

/**
 * Labels with their names in order. A name is 1 to 63 characters of letters, digits, dot, dash, underscore and slash,
 * beginning with a letter or digit; a value is any text of one line.
 */
export function parseLabels(labels: Labels, field: string): Labels {
  const entries = Object.entries(labels);
  if (entries.length > LABELS_MOST) {
    throw new WritError('too_large', 'There are too many labels.', { field, remedy: `Give at most ${LABELS_MOST}.` });
  }
  for (const [label, value] of entries) {
    if (!/^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$/.test(label)) {
      throw new WritError('bad_request', 'A label has a name that is not allowed.', {
        field,
        remedy: 'Use 1 to 63 letters, digits, dots, dashes, underscores and slashes.',
      });
    }
    parseText(value, `${field}/${label.replaceAll('/', '~1')}`, LONGEST.label);
  }
  // `__proto__` is no label: it begins with an underscore.
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** In the order given, none twice. */
function parseDnsNames(names: readonly string[]): readonly string[] {
  if (names.length > DNS_NAMES_MOST) {
    throw new WritError('too_large', 'There are too many DNS names.', {
      field: '/dns_names',
      remedy: `Give at most ${DNS_NAMES_MOST}; names below one of them need not be given.`,
    });
  }
  const bad = names.findIndex((name) => !isHostName(name) || name !== name.toLowerCase());
  if (bad === -1) return [...new Set(names)];
  throw new WritError('bad_request', 'This is not a host name in lower case.', {
    field: `/dns_names/${bad}`,
    remedy: 'Give names like db.example.com, without wildcard; names below are included.',
  });
}

function parseModel(model: Model): Model {
  return {
    provider: parseText(model.provider, '/model/provider', LONGEST.model),
    name: parseText(model.name, '/model/name', LONGEST.model),
    ...(model.version === undefined ? {} : { version: parseText(model.version, '/model/version', LONGEST.model) }),
  };
}

/** One line of text: not empty, no blanks at an end, no control characters, and nothing that is not Unicode text. */
function parseText(text: string, field: string, longest: number): string {
  // Control and format characters and lone surrogates: they hide in a terminal what a person is asked to trust.
  const plain = text.trim() === text && !/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.test(text);
  if (text.length > 0 && text.length <= longest && plain) return text;
  const fault =
    text.length === 0
      ? 'is empty'
      : text.length > longest
        ? 'is too long'
        : 'has blanks at an end or characters that cannot be shown';
  throw new WritError('bad_request', `The text ${fault}.`, {
    field,
    remedy: `Give one line of 1 to ${longest} characters.`,
  });
}
