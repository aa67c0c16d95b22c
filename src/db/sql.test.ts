import assert from 'node:assert/strict';
import { test } from 'node:test';
import { definitionFor, numberPlaceholders, splitStatements } from './sql.ts';

test('statements of a file', () => {
  const cases: [string, string, string[]][] = [
    ['nothing', ' \n-- only a comment\n', []],
    ['last semicolon is optional', 'A;B', ['A', 'B']],
    ['empty statements', ';A;;', ['A']],
    [
      'semicolons in text and names',
      `INSERT INTO "a;b" VALUES (';', 'it''s;');C`,
      [`INSERT INTO "a;b" VALUES (';', 'it''s;')`, 'C'],
    ],
    ['a quote in a comment', "A -- don't; stop\n(B); -- it's\nC", ['A  \n(B)', 'C']],
    ['a comment in a quote', "A '--'; B", ["A '--'", 'B']],
    ['block comments', "A /* ; ' \n */ B; C", ['A   B', 'C']],
  ];
  for (const [name, text, want] of cases) assert.deepEqual(splitStatements(text), want, name);
});

test('placeholders', () => {
  const cases: [string, string][] = [
    ['SELECT a FROM b WHERE c = ? AND d IN (?, ?)', 'SELECT a FROM b WHERE c = $1 AND d IN ($2, $3)'],
    ["SELECT '?' , \"?\" , 'it''s ?' -- ?\n, ?", "SELECT '?' , \"?\" , 'it''s ?' -- ?\n, $1"],
    ['SELECT /* ? */ ?', 'SELECT /* ? */ $1'],
    ['SELECT 1', 'SELECT 1'],
  ];
  for (const [sql, want] of cases) assert.equal(numberPlaceholders(sql), want);
});

test('definitions for PostgreSQL', () => {
  const cases: [string, string][] = [
    [
      'CREATE TABLE t (id INTEGER PRIMARY KEY, a BLOB, b TEXT NOT NULL, c BIGINT)',
      'CREATE TABLE t (id BIGINT PRIMARY KEY, a BYTEA, b TEXT COLLATE "C" NOT NULL, c BIGINT)',
    ],
    ['CREATE TABLE t (a TEXT PRIMARY KEY) WITHOUT ROWID', 'CREATE TABLE t (a TEXT COLLATE "C" PRIMARY KEY)'],
    [`CREATE TABLE "TEXT" (a BIGINT DEFAULT 'BLOB')`, `CREATE TABLE "TEXT" (a BIGINT DEFAULT 'BLOB')`],
    ['CREATE INDEX text_i ON t (text_a)', 'CREATE INDEX text_i ON t (text_a)'],
  ];
  for (const [sql, want] of cases) {
    assert.equal(definitionFor('postgres', sql), want);
    assert.equal(definitionFor('sqlite', sql), sql);
  }
});
