import assert from 'node:assert/strict';
import { test } from 'node:test';
import { certificate } from '../../test/spiffe-conformance/certificate.ts';
import { nameConstraintsFor } from '../ca/authority/name-constraints.ts';
import { parseTrustDomain } from '../spiffe-id/trust-domain.ts';
import { parseCertificate } from './certificate.ts';
import { confinementFault } from './confinement.ts';
import { encodeNameConstraints, NAME_CONSTRAINTS, type NameConstraints } from './extensions/name-constraints.ts';
import type { GeneralName } from './general-name.ts';

const dns = (value: string): GeneralName => ({ kind: 'dns', value });
const ip = (...value: number[]): GeneralName => ({ kind: 'ip', value: new Uint8Array(value) });
const NO_V4 = ip(...Array<number>(8).fill(0));
const NO_V6 = ip(...Array<number>(32).fill(0));
const TEN = ip(10, 0, 0, 0, 255, 0, 0, 0);

function faultOf(constraints: NameConstraints | undefined, critical = true): string | undefined {
  const value = constraints === undefined ? undefined : encodeNameConstraints(constraints);
  const more = value === undefined ? [] : [{ oid: NAME_CONSTRAINTS, critical, value }];
  return confinementFault(parseCertificate(certificate({ ca: true, more }).der));
}

test('a root that could vouch for everybody’s names is told from one that is confined', () => {
  const closed = [NO_V4, NO_V6];
  const table: [string, NameConstraints | undefined, RegExp | undefined][] = [
    ['no constraints', undefined, /no name constraints/],
    ['DNS and addresses', { permitted: [dns('corp.example')], excluded: closed }, undefined],
    ['no DNS at all', { permitted: [], excluded: [dns(''), ...closed] }, undefined],
    ['one’s own network', { permitted: [dns('corp.example'), TEN], excluded: [NO_V6] }, undefined],
    ['loopback', { permitted: [dns('localhost'), dns('internal')], excluded: closed }, undefined],
    ['DNS open', { permitted: [], excluded: closed }, /leaves DNS names open/],
    [
      'DNS open beside an exclusion',
      { permitted: [], excluded: [dns('evil.example'), ...closed] },
      /leaves DNS names open/,
    ],
    ['everything by the empty name', { permitted: [dns('')], excluded: closed }, /everybody/],
    ['a top-level domain', { permitted: [dns('corp.example'), dns('com')], excluded: closed }, /everybody/],
    ['a top-level domain with a dot', { permitted: [dns('.com')], excluded: closed }, /everybody/],
    ['IPv4 open', { permitted: [dns('corp.example')], excluded: [NO_V6] }, /leaves IPv4/],
    ['IPv6 open', { permitted: [dns('corp.example'), TEN], excluded: [] }, /leaves IPv6/],
    [
      'half of all addresses',
      { permitted: [dns('corp.example'), ip(128, 0, 0, 0, 128, 0, 0, 0)], excluded: [NO_V6] },
      /IPv4 addresses/,
    ],
    [
      'all addresses',
      { permitted: [dns('corp.example'), ip(0, 0, 0, 0, 0, 0, 0, 0)], excluded: [NO_V6] },
      /IPv4 addresses/,
    ],
  ];
  for (const [name, constraints, want] of table) {
    const fault = faultOf(constraints);
    if (want === undefined) assert.equal(fault, undefined, name);
    else assert.match(fault ?? '', want, name);
  }
  assert.match(faultOf({ permitted: [dns('corp.example')], excluded: closed }, false) ?? '', /not critical/);
});

test('what Writ makes is confined, whatever it permits', () => {
  const trustDomain = parseTrustDomain('agents.example.com');
  for (const scope of [
    { trustDomain, dns: [], networks: [], loopback: false },
    { trustDomain, dns: ['corp.example'], networks: ['10.0.0.0/8', 'fd00::/8'], loopback: true },
  ]) {
    assert.equal(faultOf(nameConstraintsFor(scope)), undefined);
  }
});
