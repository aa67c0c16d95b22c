import type { Database } from './database.ts';

/**
 * The shared subset of SQL, as text: cutting a file into statements and saying a statement in PostgreSQL's words.
 * Quoted text, quoted names and comments are never touched.
 */

/** Quoted text, quoted names, comments; then whatever a caller looks for. */
const QUOTED = String.raw`'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?\*\/`;

const COMMENT_OR_END = new RegExp(`${QUOTED}|;`, 'g');
const PLACEHOLDER = new RegExp(`${QUOTED}|\\?`, 'g');
const TYPE = new RegExp(String.raw`${QUOTED}|\b(?:BLOB|TEXT|INTEGER)\b|\)\s*WITHOUT\s+ROWID\b`, 'g');

/** The statements of a migration file in order, without comments and the semicolons between them. */
export function splitStatements(text: string): string[] {
  const statements: string[] = [];
  let current = '';
  let from = 0;
  for (const match of text.matchAll(COMMENT_OR_END)) {
    const [found] = match;
    if (found === ';') {
      statements.push(current + text.slice(from, match.index));
      current = '';
    } else if (found.startsWith('--') || found.startsWith('/*')) {
      current += `${text.slice(from, match.index)} `;
    } else {
      continue;
    }
    from = match.index + found.length;
  }
  statements.push(current + text.slice(from));
  return statements.map((statement) => statement.trim()).filter((statement) => statement !== '');
}

/** `?` → `$1`, `$2` … in order. */
export function numberPlaceholders(sql: string): string {
  let count = 0;
  return sql.replace(PLACEHOLDER, (found) => (found === '?' ? `$${++count}` : found));
}

/**
 * A CREATE statement of the shared subset in the words of an engine. On PostgreSQL text sorts by code point, as in SQLite, so that a page cursor
 * means the same on both; `INTEGER` (SQLite's row number, 64 bits) is `BIGINT` there.
 */
export function definitionFor(engine: Database['engine'], sql: string): string {
  if (engine === 'sqlite') return sql;
  return sql.replace(TYPE, (found) => {
    if (found === 'BLOB') return 'BYTEA';
    if (found === 'TEXT') return 'TEXT COLLATE "C"';
    if (found === 'INTEGER') return 'BIGINT';
    return found.startsWith(')') ? ')' : found;
  });
}
