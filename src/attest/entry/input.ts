import { WritError } from '../../base/error.ts';
import { type Name, parseName } from '../../spiffe-id/name.ts';
import { parseTrustDomain } from '../../spiffe-id/trust-domain.ts';
import { parseMatch } from '../facts.ts';
import { parseContextName, parseScopes } from '../token/input.ts';
import type { Labels } from '../token/store.ts';
import type { EntrySource } from './entry.ts';

/** What a door hands over to make a registration entry; every field is still to be checked. */
export interface EntryInput {
  readonly agent: string;
  /** Refuse (`not_found`) where the name is not of this kind. */
  readonly kind?: 'agent' | 'service';
  readonly source: EntrySource;
  readonly match: readonly string[];
  readonly hint?: string;
  readonly workflow?: string;
  readonly scopes?: readonly string[];
  readonly labels?: Labels;
  readonly lifetimeSeconds?: number;
  readonly federatesWith?: readonly string[];
  readonly per?: 'process' | 'node';
}

export interface EntryData {
  readonly agent: Name;
  readonly source: EntrySource;
  readonly match: readonly string[];
  readonly hint?: string;
  readonly workflow?: string;
  readonly scopes: readonly string[];
  readonly lifetimeSeconds?: number;
  readonly federatesWith: readonly string[];
  readonly per: 'process' | 'node';
}

const LONGEST_SECONDS = 31_622_400;

/** `kind`: of the attestor, or `node`. Throws `bad_request` or `too_large` with the field as a JSON pointer. */
export function parseEntryInput(input: EntryInput, kind: string): EntryData {
  const { hint, workflow, lifetimeSeconds, scopes = [], federatesWith = [] } = input;
  if (hint !== undefined && !/^[\x21-\x7e]{1,255}$/.test(hint)) {
    throw new WritError('bad_request', 'The hint is none that a workload can be given.', {
      field: '/hint',
      remedy: 'Give 1 to 255 printable ASCII characters without spaces.',
    });
  }
  if (lifetimeSeconds !== undefined && !(Number.isSafeInteger(lifetimeSeconds) && within(lifetimeSeconds))) {
    throw new WritError('bad_request', 'The number is out of range.', {
      field: '/lifetime_seconds',
      remedy: `Give a whole number from 1 to ${LONGEST_SECONDS}.`,
    });
  }
  if (input.per === 'node' && 'attestor' in input.source) {
    throw new WritError('bad_request', 'What comes with evidence of its own is an instance of its own.', {
      field: '/per',
      remedy: 'Leave it out; sharing is for what a node sees.',
    });
  }
  return {
    agent: parseName(input.agent, '/agent'),
    source: input.source,
    match: parseMatch(input.match, kind, '/match'),
    ...(hint === undefined ? {} : { hint }),
    ...(workflow === undefined ? {} : { workflow: parseContextName(workflow, '/workflow') }),
    scopes: parseScopes(scopes),
    ...(lifetimeSeconds === undefined ? {} : { lifetimeSeconds }),
    federatesWith: [
      ...new Set(federatesWith.map((name, at) => parseTrustDomain(name, `/federates_with/${at}`) as string)),
    ].sort(),
    per: input.per ?? 'process',
  };
}

function within(seconds: number): boolean {
  return seconds >= 1 && seconds <= LONGEST_SECONDS;
}
