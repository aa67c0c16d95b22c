import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWritError } from '../base/error.ts';
import { parseTrustDomain } from '../spiffe-id/trust-domain.ts';
import { requirePermittedNames } from './server-names.ts';

const trustDomain = parseTrustDomain('agents.example.com');
const scope = { trustDomain, dns: ['corp.example'], networks: ['10.0.0.0/8', 'no network'], loopback: true };

test('a server has names that its authorities vouch for', () => {
  const good = ['agents.example.com', 'writ.agents.example.com', 'writ.corp.example', '10.1.2.3', 'localhost', '::1'];
  requirePermittedNames(good, scope);
  requirePermittedNames([], scope);
});

for (const [name, how] of [
  ['writ.example.com', '--permit-dns NAME'],
  ['xagents.example.com', '--permit-dns NAME'],
  ['192.0.2.1', '--permit-ip NETWORK'],
  ['2001:db8::1', '--permit-ip NETWORK'],
  ['fe80::1%eth0', '--permit-ip NETWORK'],
] as const) {
  test(`${name} is refused before there is a root`, () => {
    assert.throws(
      () => requirePermittedNames(['localhost', name], scope),
      (error) => isWritError(error, 'bad_config') && error.field === '--name' && error.remedy!.includes(how),
    );
  });
}

test('without loopback names the usual ones are outside', () => {
  assert.throws(() => requirePermittedNames(['127.0.0.1'], { ...scope, loopback: false }), /vouch for 127\.0\.0\.1$/);
});
