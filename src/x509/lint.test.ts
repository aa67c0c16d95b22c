import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { encode, integer, nullValue, oid, sequence, utf8String } from '../der/writer.ts';
import { findExtension } from './extension.ts';
import { AGENT_CONTEXT, encodeAgentContext } from './extensions/agent-context.ts';
import { ACCESS_OCSP, AUTHORITY_INFO_ACCESS, encodeAuthorityInfoAccess } from './extensions/authority-info-access.ts';
import { AUTHORITY_KEY_IDENTIFIER, encodeAuthorityKeyIdentifier } from './extensions/authority-key-identifier.ts';
import { BASIC_CONSTRAINTS, encodeBasicConstraints } from './extensions/basic-constraints.ts';
import { ANY_POLICY, CERTIFICATE_POLICIES, encodeCertificatePolicies } from './extensions/certificate-policies.ts';
import { CRL_DISTRIBUTION_POINTS, encodeCrlDistributionPoints } from './extensions/crl-distribution-points.ts';
import { CLIENT_AUTH, EXTENDED_KEY_USAGE, OCSP_SIGNING, SERVER_AUTH } from './extensions/extended-key-usage.ts';
import { KEY_USAGE } from './extensions/key-usage.ts';
import { encodeNameConstraints, NAME_CONSTRAINTS } from './extensions/name-constraints.ts';
import { encodeNoRevAvail, NO_REV_AVAIL } from './extensions/no-rev-avail.ts';
import { encodeOcspNoCheck, OCSP_NO_CHECK } from './extensions/ocsp-no-check.ts';
import { SUBJECT_ALT_NAME } from './extensions/subject-alt-name.ts';
import { encodeSubjectKeyIdentifier, SUBJECT_KEY_IDENTIFIER } from './extensions/subject-key-identifier.ts';
import type { GeneralName } from './general-name.ts';
import { lintIssuer } from './lint/expected.ts';
import { LINTS, lintCertificate } from './lint.ts';
import { encodeName } from './name.ts';
import { keyIdentifier, parsePublicKey } from './public-key.ts';
import { expectedOf, NOW, testChain } from './testdata/authority.ts';
import {
  all,
  type Change,
  critical,
  expected,
  extension,
  fields,
  findings,
  type Kind,
  names,
  purposes,
  rewrite,
  twice,
  usage,
  without,
} from './testdata/candidate.ts';
import { ISSUING_ALGORITHMS, newTestKey, testKey } from './testdata/keys.ts';

const AGENT = { kind: 'uri', value: 'spiffe://example.org/agent/planner/01jd0000000000000000000000' } as const;
const DOMAIN = { kind: 'uri', value: 'spiffe://example.org' } as const;
const uri = (value: string): GeneralName => ({ kind: 'uri', value });
const dns = (value: string): GeneralName => ({ kind: 'dns', value });
const ip = (...octets: number[]): GeneralName => ({ kind: 'ip', value: Uint8Array.from(octets) });
const OTHER: GeneralName = { kind: 'other', tag: 0x88, value: Uint8Array.of(0x88, 1, 0x2a) };

const NO_REVOCATION = extension(NO_REV_AVAIL, encodeNoRevAvail());
const NO_CHECK = extension(OCSP_NO_CHECK, encodeOcspNoCheck());
const RESPONDER = all(purposes(OCSP_SIGNING), expected({ purposes: [OCSP_SIGNING] }), NO_CHECK);
const CONTEXT = encodeAgentContext({ workflow: 'w' });
const crlAt = (point: GeneralName) => extension(CRL_DISTRIBUTION_POINTS, encodeCrlDistributionPoints([point]));
const ocspAt = (location: GeneralName) =>
  extension(AUTHORITY_INFO_ACCESS, encodeAuthorityInfoAccess([{ method: ACCESS_OCSP, location }]));
const CRL = crlAt(uri('http://crl.example.org/1.crl'));
const OCSP = ocspAt(uri('http://ocsp.example.org/'));
const constraints = (...permitted: GeneralName[]) =>
  extension(NAME_CONSTRAINTS, encodeNameConstraints({ permitted, excluded: [] }), true);
const basic = (ca: boolean, pathLength?: number) =>
  extension(BASIC_CONSTRAINTS, encodeBasicConstraints(pathLength === undefined ? { ca } : { ca, pathLength }));
const policies = (value: Uint8Array) => extension(CERTIFICATE_POLICIES, value);
const subjectKey = (value: Uint8Array) => extension(SUBJECT_KEY_IDENTIFIER, encodeSubjectKeyIdentifier(value));
const authorityKey = (value: Uint8Array) => extension(AUTHORITY_KEY_IDENTIFIER, encodeAuthorityKeyIdentifier(value));
const serial = (length: number) => fields({ serial: new Uint8Array(length).fill(7) });
const ZEROS = new Uint8Array(20);

/** The certificate is for another key, and says so in its subject key identifier. */
const keyOf = (spki: Uint8Array): Change => all(fields({ spki }), subjectKey(keyIdentifier(parsePublicKey(spki))));
const ROOT_KEY = testKey('ecdsa-p256-sha256').spki;
const ML_DSA = testKey('ml-dsa-44').spki;

for (const algorithm of ISSUING_ALGORITHMS) {
  test(`a chain of ${algorithm} breaks no lint`, () => {
    const { root, issuing } = testChain(algorithm);
    assert.deepEqual(lintCertificate(root.tbs, undefined, expectedOf('root', algorithm)), []);
    const own = lintCertificate(issuing.tbs, lintIssuer(root), expectedOf('issuing', algorithm));
    assert.deepEqual(
      own.map(({ lint }) => lint),
      ['own_key'],
      'issuing has the key of the root in these tests',
    );
  });
}

const ACCEPTED: readonly [name: string, kind: Kind, change: Change][] = [
  ['nothing changed', 'leaf', all()],
  ['nothing changed', 'issuing', all()],
  ['nothing changed', 'root', all()],
  ['a DNS name', 'leaf', names(AGENT, dns('a.example.org'))],
  ['an agent context', 'leaf', extension(AGENT_CONTEXT, CONTEXT)],
  ['noRevAvail', 'leaf', NO_REVOCATION],
  ['an OCSP responder', 'leaf', RESPONDER],
  ['CRL and OCSP', 'leaf', all(CRL, OCSP)],
  ['a policy', 'leaf', policies(encodeCertificatePolicies(['1.2.3']))],
  ['no key purposes where none are due', 'leaf', all(without(EXTENDED_KEY_USAGE), expected({ purposes: [] }))],
  ['key purposes in another order', 'leaf', purposes(CLIENT_AUTH, SERVER_AUTH)],
  ['keyAgreement of an EC key', 'leaf', usage('digitalSignature', 'keyAgreement')],
  ['an ML-DSA key', 'leaf', all(keyOf(ML_DSA), expected({ keys: ['ml-dsa-44'] }))],
  ['its own key as authority key', 'root', authorityKey(keyIdentifier(parsePublicKey(ROOT_KEY)))],
];

for (const [name, kind, change] of ACCEPTED) {
  test(`accepted: ${kind}, ${name}`, () => assert.deepEqual(findings(kind, change), []));
}

/** Each change breaks exactly the lints that are named. */
const BROKEN: readonly [lints: string, kind: Kind, change: Change][] = [
  ['agent_context', 'issuing', extension(AGENT_CONTEXT, CONTEXT)],
  ['authority_key_identifier', 'leaf', without(AUTHORITY_KEY_IDENTIFIER)],
  ['authority_key_identifier', 'leaf', extension(AUTHORITY_KEY_IDENTIFIER, sequence())],
  ['authority_key_identifier', 'leaf', authorityKey(ZEROS)],
  ['authority_key_identifier', 'root', authorityKey(ZEROS)],
  ['authority_serial', 'leaf', withAuthoritySerial],
  ['basic_constraints_of_authority', 'issuing', basic(false, 0)],
  ['basic_constraints_of_leaf', 'leaf', without(BASIC_CONSTRAINTS)],
  ['basic_constraints_of_leaf', 'leaf', basic(true)],
  ['certificate_policies', 'leaf', policies(encodeCertificatePolicies([ANY_POLICY]))],
  ['certificate_policies', 'leaf', policies(withQualifier())],
  ['criticality', 'leaf', critical(KEY_USAGE, false)],
  ['criticality', 'leaf', critical(BASIC_CONSTRAINTS, false)],
  ['criticality', 'leaf', critical(EXTENDED_KEY_USAGE, true)],
  ['criticality', 'leaf', critical(AUTHORITY_KEY_IDENTIFIER, true)],
  ['criticality', 'leaf', critical(SUBJECT_KEY_IDENTIFIER, true)],
  ['criticality', 'leaf', extension(AGENT_CONTEXT, CONTEXT, true)],
  ['criticality', 'leaf', all(NO_REVOCATION, critical(NO_REV_AVAIL, true))],
  ['criticality', 'leaf', all(CRL, critical(CRL_DISTRIBUTION_POINTS, true))],
  ['criticality', 'leaf', all(OCSP, critical(AUTHORITY_INFO_ACCESS, true))],
  ['criticality', 'issuing', critical(NAME_CONSTRAINTS, false)],
  ['distinct_names', 'leaf', names(AGENT, dns('example.org'), dns('example.org'))],
  ['dns_names', 'leaf', names(AGENT, dns('*.example.org'))],
  ['dns_names', 'leaf', names(AGENT, dns('A.example.org'))],
  ['dns_names names_permitted', 'leaf', names(AGENT, dns('a_b.example.org'))],
  ['extended_key_usage', 'leaf', without(EXTENDED_KEY_USAGE)],
  ['extended_key_usage', 'leaf', purposes(SERVER_AUTH, CLIENT_AUTH, SERVER_AUTH)],
  ['extended_key_usage ocsp_responder', 'leaf', purposes(SERVER_AUTH, CLIENT_AUTH, OCSP_SIGNING)],
  ['extended_key_usage', 'issuing', purposes(SERVER_AUTH)],
  ['extended_key_usage extended_key_usage_of_svid', 'leaf', purposes(CLIENT_AUTH)],
  ['extended_key_usage_of_svid', 'leaf', all(purposes(SERVER_AUTH), expected({ purposes: [SERVER_AUTH] }))],
  [
    'issuer_name',
    'leaf',
    fields({
      issuer: encodeName([
        ['O', 'example.org'],
        ['CN', 'issuing'],
      ]),
    }),
  ],
  ['issuer_name', 'leaf', fields({ issuer: encodeName([]) })],
  ['issuer_name', 'root', fields({ issuer: encodeName([['CN', 'x']]) })],
  ['key_usage_of_authority', 'issuing', without(KEY_USAGE)],
  ['key_usage_of_authority', 'issuing', usage('cRLSign')],
  ['key_usage_of_authority', 'issuing', usage('keyCertSign')],
  ['key_usage_of_authority', 'issuing', usage('keyCertSign', 'cRLSign', 'digitalSignature')],
  [
    'key_usage_of_key',
    'leaf',
    all(keyOf(ML_DSA), expected({ keys: ['ml-dsa-44'] }), usage('digitalSignature', 'keyEncipherment')),
  ],
  ['key_usage_of_leaf', 'leaf', without(KEY_USAGE)],
  ['key_usage_of_leaf', 'leaf', usage('nonRepudiation')],
  ['key_usage_of_leaf', 'leaf', usage('digitalSignature', 'keyCertSign')],
  ['key_usage_of_leaf', 'leaf', usage('digitalSignature', 'cRLSign')],
  ['known_extensions', 'leaf', extension('1.2.3.4', nullValue(), true)],
  ['known_extensions', 'leaf', extension('1.2.3.4', nullValue())],
  ['name_constraints_of_authority', 'issuing', without(NAME_CONSTRAINTS)],
  ['name_constraints_of_authority', 'issuing', constraints(uri('example.org'))],
  ['name_constraints_of_authority', 'issuing', constraints(uri('.org'), dns(''), ip(0, 0, 0, 0, 0, 0, 0, 0))],
  ['name_constraints_of_leaf', 'leaf', constraints(uri('example.org'))],
  ['name_forms', 'leaf', names(AGENT, OTHER)],
  ['name_forms', 'issuing', names(DOMAIN, dns('example.org'))],
  ['names_permitted', 'leaf', names(AGENT, dns('a.example.com'))],
  ['names_permitted', 'leaf', names(AGENT, ip(10, 0, 0, 1))],
  ['no_rev_avail', 'leaf', all(NO_REVOCATION, CRL)],
  ['no_rev_avail', 'leaf', all(NO_REVOCATION, OCSP)],
  ['no_rev_avail', 'issuing', NO_REVOCATION],
  ['ocsp_responder', 'leaf', NO_CHECK],
  ['ocsp_responder', 'leaf', all(RESPONDER, without(OCSP_NO_CHECK))],
  ['criticality', 'leaf', all(RESPONDER, critical(OCSP_NO_CHECK, true))],
  [
    'ocsp_responder',
    'leaf',
    all(RESPONDER, purposes(OCSP_SIGNING, CLIENT_AUTH), expected({ purposes: [OCSP_SIGNING, CLIENT_AUTH] })),
  ],
  ['ocsp_responder', 'leaf', all(RESPONDER, OCSP)],
  ['extended_key_usage ocsp_responder', 'issuing', all(purposes(OCSP_SIGNING), NO_CHECK)],
  ['own_key', 'leaf', keyOf(ROOT_KEY)],
  ['path_length', 'leaf', basic(false, 0)],
  ['path_length', 'issuing', basic(true, 1)],
  ['path_length', 'issuing', all(basic(true, 2), expected({ pathLength: 2 }))],
  ['path_length', 'root', basic(true)],
  ['public_key', 'leaf', expected({ keys: ['ed25519'] })],
  ['revocation_mode', 'leaf', expected({ revocation: 'ephemeral' })],
  ['revocation_mode', 'leaf', all(NO_REVOCATION, expected({ revocation: 'ephemeral' }))],
  ['no_rev_avail revocation_mode', 'leaf', all(NO_REVOCATION, CRL, OCSP, expected({ revocation: 'revocable' }))],
  ['revocation_mode', 'leaf', all(CRL, expected({ revocation: 'revocable' }))],
  ['revocation_mode', 'leaf', all(OCSP, expected({ revocation: 'revocable' }))],
  ['revocation_pointers', 'leaf', crlAt(uri('https://a.example/'))],
  ['revocation_pointers', 'leaf', crlAt(dns('a.example'))],
  ['revocation_pointers', 'leaf', ocspAt(uri('ldap://a.example/'))],
  ['revocation_pointers', 'leaf', extension(CRL_DISTRIBUTION_POINTS, partialCrl())],
  ['serial_entropy', 'leaf', serial(16)],
  ['serial_entropy serial_number', 'leaf', fields({ serial: Uint8Array.of(0) })],
  ['serial_entropy serial_number', 'leaf', serial(21)],
  [
    'serial_number',
    'leaf',
    rewrite(([version, , ...rest]) => [version!, encode(2, new Uint8Array(20).fill(0x81)), ...rest]),
  ],
  ['signature_algorithm', 'leaf', fields({ algorithm: 'ecdsa-p384-sha384' })],
  ['signature_algorithm', 'root', fields({ algorithm: 'ml-dsa-65' })],
  ['single_uri', 'leaf', names(AGENT, uri(`${AGENT.value}2`))],
  ['single_uri', 'leaf', names(dns('a.example.org'))],
  ['single_uri subject_alt_name_critical', 'issuing', without(SUBJECT_ALT_NAME)],
  ['spiffe_id_of_authority', 'issuing', names(uri('spiffe://example.org/ca'))],
  ['names_permitted spiffe_id_of_authority', 'issuing', names(uri('spiffe://other.org'))],
  ['spiffe_id_of_leaf', 'leaf', names(DOMAIN)],
  ['spiffe_id_of_leaf', 'leaf', names(uri('spiffe://example.org/a//b'))],
  ['spiffe_id_of_leaf', 'leaf', names(uri('https://example.org/agent'))],
  ['names_permitted spiffe_id_of_leaf', 'leaf', names(uri('spiffe://other.org/agent/planner'))],
  ['names_permitted spiffe_id_of_leaf', 'leaf', names(uri('spiffe://below.example.org/agent/planner'))],
  ['subject_alt_name_critical', 'leaf', critical(SUBJECT_ALT_NAME, false)],
  ['subject_alt_name_critical', 'issuing', critical(SUBJECT_ALT_NAME, true)],
  ['subject_key_identifier', 'leaf', without(SUBJECT_KEY_IDENTIFIER)],
  ['subject_key_identifier', 'leaf', subjectKey(ZEROS)],
  ['subject_lengths', 'issuing', fields({ subject: encodeName([['CN', 'x'.repeat(65)]]) })],
  ['subject_of_authority', 'issuing', all(fields({ subject: encodeName([]) }), critical(SUBJECT_ALT_NAME, true))],
  ['subject_of_leaf', 'leaf', all(fields({ subject: encodeName([['CN', 'x']]) }), critical(SUBJECT_ALT_NAME, false))],
  [
    'unique_identifiers',
    'leaf',
    rewrite((parts) => [...parts.slice(0, -1), Uint8Array.of(0x82, 2, 0, 1), parts.at(-1)!]),
  ],
  ['validity_length', 'leaf', fields({ notAfter: NOW + 3_631_000 })],
  ['validity_order', 'leaf', fields({ notAfter: NOW - 30_000 })],
  ['validity_within_issuer', 'issuing', (c) => fields({ notBefore: c.issuer!.notBefore - 1000 })(c)],
  ['validity_within_issuer', 'issuing', (c) => fields({ notAfter: c.issuer!.notAfter + 1000 })(c)],
  ['well_formed', 'leaf', rewrite((parts) => parts.slice(0, -2))],
  ['well_formed', 'leaf', rewrite((parts) => [...parts, nullValue()])],
  ['well_formed', 'leaf', twice(KEY_USAGE)],
  ['well_formed', 'leaf', extension(KEY_USAGE, nullValue())],
  ['well_formed', 'leaf', extension(NO_REV_AVAIL, sequence())],
  ['well_formed', 'leaf', fields({ spki: sequence() })],
];

for (const [lints, kind, change] of BROKEN) {
  test(`found: ${lints} in ${kind}`, () => {
    const found = findings(kind, change);
    assert.equal(
      found
        .map(({ lint }) => lint)
        .sort()
        .join(' '),
      lints,
    );
    for (const { clause, fault } of found)
      assert.match(`${clause} ${fault}`, /^(RFC |X\.509-SVID |Writ ).+The certificate .+\.$/);
  });
}

function withAuthoritySerial(candidate: Parameters<Change>[0]): ReturnType<Change> {
  const { value } = findExtension(candidate.fields.extensions, AUTHORITY_KEY_IDENTIFIER)!;
  const issuer = encode(0xa1, encode(0x82, Uint8Array.of(0x61)));
  const named = sequence(value.subarray(2), issuer, integer(1, 0x82));
  return extension(AUTHORITY_KEY_IDENTIFIER, named)(candidate);
}

function withQualifier(): Uint8Array {
  return sequence(sequence(oid('1.2.3'), sequence(sequence(oid('1.2.4'), utf8String('x')))));
}

function partialCrl(): Uint8Array {
  return sequence(sequence(Uint8Array.of(0x81, 2, 5, 0x60), encode(0xa2, encode(0x82, Uint8Array.of(0x61)))));
}

test('a certificate of version 1 is found, too', () => {
  const found = findings(
    'leaf',
    rewrite((parts) => parts.slice(1, -1)),
  );
  assert.ok(found.some(({ lint }) => lint === 'version'));
});

test('every file is run, under its own name, and broken by a case above', () => {
  const files = readdirSync(join(import.meta.dirname, 'lint')).map((file) => file.replace(/\.ts$/, ''));
  const lints = files.filter((file) => !['lint', 'decoded', 'expected'].includes(file));
  assert.deepEqual(LINTS.map(({ name }) => name).sort(), lints.map((file) => file.replaceAll('-', '_')).sort());
  const broken = new Set(['version', ...BROKEN.flatMap(([named]) => named.split(' '))]);
  assert.deepEqual(
    LINTS.filter(({ name }) => !broken.has(name)),
    [],
  );
});

test('an issuer that cannot be understood is an error, not a finding', () => {
  const { issuing } = testChain('ed25519');
  const extensions = [{ oid: BASIC_CONSTRAINTS, critical: true, value: nullValue() }];
  assert.throws(() => lintIssuer({ ...issuing, extensions }));
  assert.doesNotThrow(() => lintIssuer({ ...issuing, spki: newTestKey('ed25519').spki }));
});
