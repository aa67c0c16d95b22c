import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWritError } from '../base/error.ts';
import { nameConstraintsFor } from '../ca/authority/name-constraints.ts';
import { parseTrustDomain } from '../spiffe-id/trust-domain.ts';
import { encodeNameConstraints } from '../x509/extensions/name-constraints.ts';
import { requirePermittedNames, requireVouchedNames } from './server-names.ts';

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

test('where the root is there, its name constraints decide', () => {
  const made = { ...scope, networks: ['10.0.0.0/8'] };
  const hierarchy = { trustDomain, nameConstraints: encodeNameConstraints(nameConstraintsFor(made)) };
  requireVouchedNames(
    ['writ.agents.example.com', 'corp.example', '10.1.2.3', 'localhost', '127.0.0.1', '::1'],
    hierarchy,
  );
  for (const name of ['writ.example.com', '192.0.2.1', '2001:db8::1']) {
    assert.throws(
      () => requireVouchedNames(['localhost', name], hierarchy),
      (error) =>
        isWritError(error, 'bad_config') &&
        error.message.endsWith(`vouch for ${name}`) &&
        error.remedy!.includes('agents.example.com, corp.example, localhost, 10.0.0.0/8, 127.0.0.0/8'),
      name,
    );
  }
});
