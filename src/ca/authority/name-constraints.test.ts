import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWritError } from '../../base/error.ts';
import { parseTrustDomain } from '../../spiffe-id/trust-domain.ts';
import { parseCertificate } from '../../x509/certificate.ts';
import {
  decodeNameConstraints,
  encodeNameConstraints,
  NAME_CONSTRAINTS,
} from '../../x509/extensions/name-constraints.ts';
import { RFC5280 } from '../../x509/path/policy.ts';
import { validatePath } from '../../x509/path/validate.ts';
import { issueLeaf, leafRequest, makeChain, START } from '../testdata/installation.ts';
import { type NameScope, nameConstraintsFor, permittedNames } from './name-constraints.ts';

const scope = (change: Partial<NameScope> = {}): NameScope => ({
  trustDomain: parseTrustDomain('agents.example.com'),
  dns: [],
  networks: [],
  loopback: false,
  ...change,
});

/** `kind value` of each subtree. */
function shown(change: Partial<NameScope>): { permitted: string[]; excluded: string[] } {
  const constraints = decodeNameConstraints(encodeNameConstraints(nameConstraintsFor(scope(change))));
  const show = (names: typeof constraints.permitted) =>
    names.map(
      ({ kind, value }) => `${kind} ${value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value}`,
    );
  return { permitted: show(constraints.permitted), excluded: show(constraints.excluded) };
}

test('the trust domain as URI and DNS, no address of either family, nobody’s mailbox', () => {
  assert.deepEqual(shown({}), {
    permitted: ['uri agents.example.com', 'dns agents.example.com', 'email nobody@writ.invalid'],
    excluded: [`ip ${'0'.repeat(16)}`, `ip ${'0'.repeat(64)}`, 'email nobody@writ.invalid'],
  });
});

test('where a network is permitted, addresses of its family are confined by that and none is excluded', () => {
  assert.deepEqual(shown({ networks: ['10.0.0.0/8'], dns: ['Corp.Example', 'svc', 'agents.example.com'] }), {
    permitted: [
      'uri agents.example.com',
      'dns agents.example.com',
      'dns corp.example',
      'dns svc',
      'ip 0a000000ff000000',
      'email nobody@writ.invalid',
    ],
    excluded: [`ip ${'0'.repeat(64)}`, 'email nobody@writ.invalid'],
  });
});

test('loopback for a development set-up', () => {
  assert.deepEqual(shown({ loopback: true }).excluded, ['email nobody@writ.invalid']);
  assert.deepEqual(shown({ networks: ['fd00::/8'] }).excluded, [`ip ${'0'.repeat(16)}`, 'email nobody@writ.invalid']);
  assert.deepEqual(shown({ loopback: true, dns: ['localhost'] }).permitted, [
    'uri agents.example.com',
    'dns agents.example.com',
    'dns localhost',
    'ip 7f000000ff000000',
    `ip ${'0'.repeat(31)}1${'f'.repeat(32)}`,
    'email nobody@writ.invalid',
  ]);
  assert.deepEqual(permittedNames(scope({ loopback: true, networks: ['10.0.0.0/8'] })), {
    dns: ['agents.example.com', 'localhost'],
    networks: ['10.0.0.0/8', '127.0.0.0/8', '::1/128'],
  });
});

test('refuses a trust domain that no validator could be confined to', () => {
  for (const domain of ['10.0.0.1', 'localhost', 'a_b.example', 'example.1']) {
    assert.throws(
      () => nameConstraintsFor(scope({ trustDomain: parseTrustDomain(domain) })),
      (error) => isWritError(error, 'bad_spiffe_id') && error.field === '--trust-domain',
      domain,
    );
  }
});

test('networks are in CIDR form', () => {
  assert.throws(
    () => nameConstraintsFor(scope({ networks: ['10.0.0.0/8', '10.1.0.0/8'] })),
    (error) => isWritError(error, 'bad_config') && error.field === '--permit-ip',
  );
});

test('DNS subtrees are host names, and there is an end to how many', () => {
  for (const name of ['*.corp.example', '.corp.example', 'corp.example.', '10.0.0.1', 'a b', '', 'ä.example']) {
    assert.throws(
      () => nameConstraintsFor(scope({ dns: [name] })),
      (error) => isWritError(error, 'bad_config') && error.field === '--permit-dns',
      name,
    );
  }
  const many = Array.from({ length: 64 }, (_, n) => `d${n}.example`);
  assert.equal(nameConstraintsFor(scope({ dns: many.slice(1) })).permitted.length, 66);
  assert.throws(() => nameConstraintsFor(scope({ dns: many })), /More than 64/);
});

test('authorities below an older root, which excludes the domains below its own, are still made right', async () => {
  const { permitted, excluded } = nameConstraintsFor(scope());
  const older = { permitted, excluded: [{ kind: 'uri', value: '.agents.example.com' } as const, ...excluded] };
  const chain = await makeChain('ecdsa-p256', scope(), START, encodeNameConstraints(older));
  const { der } = await issueLeaf(chain, await leafRequest());
  const [leaf, ...intermediates] = [parseCertificate(der), chain.issuing.certificate, chain.intermediate.certificate];
  const anchors = [chain.root.certificate];
  const validated = validatePath({ leaf: leaf!, intermediates, anchors, at: START, policy: RFC5280 });
  assert.ok(validated.valid, JSON.stringify(validated));
  for (const { certificate } of [chain.root, chain.intermediate, chain.issuing]) {
    const extension = certificate.extensions.find(({ oid }) => oid === NAME_CONSTRAINTS)!;
    assert.deepEqual(decodeNameConstraints(extension.value), older);
  }
});
