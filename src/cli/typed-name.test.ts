import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Command, EXIT } from './command.ts';
import { typedName } from './typed-name.ts';

const command: Command = {
  path: 'thing make',
  summary: 'make a thing',
  parameters: [{ name: 'trust-domain', summary: 'which' }],
  flags: ['lifetime', 'scope', 'bundle-file', 'csr-file', 'csr'].map((name) => ({
    name,
    value: 'text',
    summary: name,
  })),
  run: async () => EXIT.ok,
};

test('a field of a request is named as it was typed', () => {
  const typed: Record<string, string> = {
    '/lifetime_seconds': '--lifetime',
    '/scopes/2': '--scope',
    '/bundle': '--bundle-file',
    '/csr': '--csr',
    '{trust_domain}': '<trust-domain>',
    '/trust_domain': '<trust-domain>',
  };
  for (const [field, name] of Object.entries(typed)) assert.equal(typedName(field, command), name);
});

test('a field that nobody typed stays what it is', () => {
  for (const field of ['/match/0', '{serial}', '--lifetime', 'token', '/', '', '/Lifetime']) {
    assert.equal(typedName(field, command), field);
  }
});
