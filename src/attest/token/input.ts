import { WritError } from '../../base/error.ts';
import { type Name, parseName } from '../../spiffe-id/name.ts';
import type { Labels } from './store.ts';

/** What a door hands over to make a join token; every field is still to be checked. */
export interface TokenInput {
  /** Name of the agent or service that it lets in. */
  readonly agent: string;
  /** Refuse (`not_found`) where the name is not of this kind. */
  readonly kind?: 'agent' | 'service';
  /** Default 1, at most 10 000. */
  readonly uses?: number;
  /** Default 3600; 60 … 2 592 000 (30 days). */
  readonly lifetimeSeconds?: number;
  readonly workflow?: string;
  readonly scopes?: readonly string[];
  readonly labels?: Labels;
}

export interface TokenData {
  readonly agent: Name;
  readonly uses: number;
  readonly lifetimeSeconds: number;
  readonly workflow?: string;
  /** In order, none twice. */
  readonly scopes: readonly string[];
  readonly labels: Labels;
}

const DAY = 86_400;
const SCOPES_MOST = 32;

/** Throws `bad_request`, or `too_large` for too many scopes, with the field as a JSON pointer. */
export function parseTokenInput(input: TokenInput): TokenData {
  const { scopes = [], labels = {} } = input;
  return {
    agent: parseName(input.agent, '/agent'),
    uses: parseWhole(input.uses ?? 1, '/uses', [1, 10_000]),
    lifetimeSeconds: parseWhole(input.lifetimeSeconds ?? 3600, '/lifetime_seconds', [60, 30 * DAY]),
    ...(input.workflow === undefined ? {} : { workflow: parseContextName(input.workflow, '/workflow') }),
    scopes: parseScopes(scopes),
    labels,
  };
}

/** Scopes in order, none twice. Throws as `parseTokenInput`. */
export function parseScopes(scopes: readonly string[]): readonly string[] {
  if (scopes.length > SCOPES_MOST) {
    throw new WritError('too_large', 'There are too many scopes.', {
      field: '/scopes',
      remedy: `Give at most ${SCOPES_MOST}: they all stand in the certificate.`,
    });
  }
  const parsed = scopes.map((scope, at) => parseContextName(scope, `/scopes/${at}`));
  return [...new Set(parsed)].sort();
}

function parseWhole(value: number, field: string, [least, most]: readonly [number, number]): number {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
  throw new WritError('bad_request', 'The number is out of range.', {
    field,
    remedy: `Give a whole number from ${least} to ${most}.`,
  });
}

/** Thirty-two of them and a workflow fit the certificate's extension (4096 octets) at their longest. */
export function parseContextName(text: string, field: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._:/-]{0,95}$/.test(text)) return text;
  throw new WritError('bad_request', 'The name is not one that a certificate can carry.', {
    field,
    remedy: 'Use 1 to 96 letters, digits, dots, dashes, underscores, colons and slashes, like invoices:read.',
  });
}
