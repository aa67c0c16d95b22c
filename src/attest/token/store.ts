import type { Batch } from '../../db/batch.ts';
import { decodeCursor, encodeCursor, type Page, type PageRequest, pageLimit } from '../../db/cursor.ts';
import type { Reader, Row } from '../../db/database.ts';

export type Labels = Readonly<Record<string, string>>;

/** A join token as the server knows it: all but the secret. */
export interface StoredToken {
  readonly id: string;
  /** Name of the agent or service that it lets in. */
  readonly agent: string;
  readonly workflow?: string;
  readonly scopes: readonly string[];
  readonly labels: Labels;
  /** The instance that made it, when an instance did. */
  readonly parent?: string;
  /** Certificates of what it lets in end then, too. Milliseconds, like all times here. */
  readonly attestedUntil?: number;
  readonly uses: number;
  readonly used: number;
  readonly createdAt: number;
  /** Caller id. */
  readonly createdBy: string;
  readonly expiresAt: number;
  readonly revokedAt?: number;
  readonly lastUsedAt?: number;
}

const COLUMNS =
  'id, agent, workflow, scopes, labels, parent, attested_until, uses, used, created_at, created_by, expires_at, ' +
  'revoked_at, last_used_at';

export async function readToken(reader: Reader, id: string): Promise<StoredToken | undefined> {
  const row = await reader.get(`SELECT ${COLUMNS} FROM join_token WHERE id = ?`, [id]);
  return row === undefined ? undefined : tokenOf(row);
}

/** The token with the hash of its secret, for comparing and nothing else. */
export async function readTokenWithHash(
  reader: Reader,
  id: string,
): Promise<{ token: StoredToken; secretHash: Uint8Array } | undefined> {
  const row = await reader.get(`SELECT ${COLUMNS}, secret_hash FROM join_token WHERE id = ?`, [id]);
  return row === undefined ? undefined : { token: tokenOf(row), secretHash: row['secret_hash'] as Uint8Array };
}

/** Tokens of an agent, or made by an instance, or all; oldest first. */
export async function listTokens(
  reader: Reader,
  filter: { readonly agent?: string; readonly parent?: string },
  request: PageRequest,
): Promise<Page<StoredToken>> {
  const limit = pageLimit(request);
  const filters = { agent: filter.agent, parent: filter.parent };
  const after = request.cursor === undefined ? '' : decodeCursor(request.cursor, 'tokens', filters, ['string'])[0]!;
  const stated = Object.entries(filters).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const where = stated.map(([column]) => `${column} = ? AND `).join('');
  const rows = await reader.all(
    `SELECT ${COLUMNS} FROM join_token WHERE ${where}id > ? ORDER BY id LIMIT ${limit + 1}`,
    [...stated.map(([, value]) => value), after],
  );
  const items = rows.slice(0, limit).map(tokenOf);
  if (rows.length <= limit) return { items };
  return { items, next: encodeCursor('tokens', filters, [items.at(-1)!.id]) };
}

function tokenOf(row: Row): StoredToken {
  const optional = (name: string, column: string): object => (row[column] === null ? {} : { [name]: row[column] });
  return {
    id: row['id'] as string,
    agent: row['agent'] as string,
    ...optional('workflow', 'workflow'),
    scopes: JSON.parse(row['scopes'] as string) as string[],
    labels: JSON.parse(row['labels'] as string) as Labels,
    ...optional('parent', 'parent'),
    ...optional('attestedUntil', 'attested_until'),
    uses: row['uses'] as number,
    used: row['used'] as number,
    createdAt: row['created_at'] as number,
    createdBy: row['created_by'] as string,
    expiresAt: row['expires_at'] as number,
    ...optional('revokedAt', 'revoked_at'),
    ...optional('lastUsedAt', 'last_used_at'),
  };
}

/** Adds a new token. Of its secret the database learns the hash alone. */
export function insertToken(batch: Batch, token: StoredToken, secretHash: Uint8Array): void {
  batch.writes.push({
    sql:
      'INSERT INTO join_token (id, secret_hash, agent, workflow, scopes, labels, parent, attested_until, uses, used, ' +
      'created_at, created_by, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?)',
    params: [
      token.id,
      secretHash,
      token.agent,
      token.workflow ?? null,
      JSON.stringify(token.scopes),
      JSON.stringify(token.labels),
      token.parent ?? null,
      token.attestedUntil ?? null,
      token.uses,
      token.createdAt,
      token.createdBy,
      token.expiresAt,
    ],
  });
}

/**
 * Counts one use. What is left is looked at by the commit, one act after another, so a token for one use is used once,
 * however many ask at the same time and through however many replicas.
 */
export function useToken(batch: Batch, id: string, now: number): void {
  batch.checks.push({
    sql: 'SELECT 1 FROM join_token WHERE id = ? AND used < uses AND revoked_at IS NULL AND expires_at > ?',
    params: [id, now],
    want: 'present',
    refusal: 'token_refused',
    reason: 'The join token is unknown, spent, expired or revoked.',
  });
  batch.writes.push({
    sql: 'UPDATE join_token SET used = used + 1, last_used_at = ? WHERE id = ?',
    params: [now, id],
  });
}

/** Withdraws a token that was not withdrawn before. */
export function withdrawToken(batch: Batch, id: string, now: number): void {
  batch.checks.push({
    sql: 'SELECT 1 FROM join_token WHERE id = ? AND revoked_at IS NULL',
    params: [id],
    want: 'present',
    refusal: 'conflict',
    reason: 'The join token was revoked meanwhile.',
  });
  batch.writes.push({ sql: 'UPDATE join_token SET revoked_at = ? WHERE id = ?', params: [now, id] });
}

/**
 * Pushes that all tokens which an operator made are withdrawn. What says so in the ledger is for the caller to push, for
 * all of them together.
 */
export function withdrawTokensOf(batch: Batch, operator: string, now: number): void {
  batch.writes.push({
    sql: 'UPDATE join_token SET revoked_at = ? WHERE created_by LIKE ? AND revoked_at IS NULL',
    // There is one trust domain, and the name of an operator has no sign of a pattern in it.
    params: [now, `spiffe://%/operator/${operator}`],
  });
}

/** The tokens of these agents, made by these instances, or that give a label (as it reads in labels as they are stored). */
type TokensOf =
  | { readonly agents: readonly string[] }
  | { readonly parents: readonly string[] }
  | { readonly label: string };

/** Ids of those of these tokens that have uses and time left. */
export async function usableTokens(reader: Reader, of: TokensOf, now: number): Promise<string[]> {
  const { sql, params } = conditionOf(of);
  if (params.length === 0) return [];
  const rows = await reader.all(
    `SELECT id FROM join_token WHERE ${sql} AND used < uses AND revoked_at IS NULL AND expires_at > ? ORDER BY id`,
    [...params, now],
  );
  return rows.map((row) => row['id'] as string);
}

/** Pushes that all tokens are withdrawn which give a label. */
export function withdrawTokensGiving(batch: Batch, of: { readonly label: string }, now: number): void {
  const { sql, params } = conditionOf(of);
  batch.writes.push({
    sql: `UPDATE join_token SET revoked_at = ? WHERE ${sql} AND revoked_at IS NULL`,
    params: [now, ...params],
  });
}

function conditionOf(of: TokensOf): { readonly sql: string; readonly params: readonly string[] } {
  if ('label' in of) return { sql: "REPLACE(labels, ?, '') <> labels", params: [of.label] };
  const [column, names] = 'agents' in of ? (['agent', of.agents] as const) : (['parent', of.parents] as const);
  return { sql: `${column} IN (${names.map(() => '?').join(', ')})`, params: names };
}

/** How many tokens that an operator made have let somebody in. */
export async function countUsedTokensOf(reader: Reader, operator: string): Promise<number> {
  const row = await reader.get('SELECT COUNT(*) AS n FROM join_token WHERE created_by LIKE ? AND used > 0', [
    `spiffe://%/operator/${operator}`,
  ]);
  return Number(row?.['n']);
}

/** Pushes that all tokens are withdrawn which were made after `now`: by a clock that was ahead. */
export function withdrawTokensMadeAfter(batch: Batch, now: number): void {
  batch.writes.push({
    sql: 'UPDATE join_token SET revoked_at = ? WHERE created_at > ? AND revoked_at IS NULL',
    params: [now, now],
  });
}

/**
 * Withdraws all tokens. For a database that was found to be older than what happened: which of them were used or
 * withdrawn since then, nobody knows.
 */
export function withdrawAllTokens(now: number): Batch['writes'] {
  return [{ sql: 'UPDATE join_token SET revoked_at = ? WHERE revoked_at IS NULL', params: [now] }];
}

/**
 * Pushes the removal of at most `limit` tokens with ids before `id`, oldest first; refused with `not_found` when there is
 * none. With the id of a time that is further back than retention and the longest life of a token, none of them counts
 * any more.
 */
export function pushTokenPurge(batch: Batch, id: string, limit: number): void {
  batch.checks.push({
    sql: 'SELECT 1 FROM join_token WHERE id < ?',
    params: [id],
    want: 'present',
    refusal: 'not_found',
    reason: 'No token is past retention.',
  });
  batch.writes.push({
    sql: 'DELETE FROM join_token WHERE id IN (SELECT id FROM join_token WHERE id < ? ORDER BY id LIMIT ?)',
    params: [id, limit],
  });
}
