import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encode, ia5String, octetString, sequence } from '../../der/writer.ts';
import type { Certificate } from '../certificate.ts';
import type { Extension } from '../extension.ts';
import { AUTHORITY_INFO_ACCESS, encodeAuthorityInfoAccess } from '../extensions/authority-info-access.ts';
import { AUTHORITY_KEY_IDENTIFIER, encodeAuthorityKeyIdentifier } from '../extensions/authority-key-identifier.ts';
import {
  ANY_EXTENDED_KEY_USAGE,
  CLIENT_AUTH,
  EXTENDED_KEY_USAGE,
  encodeExtendedKeyUsage,
  SERVER_AUTH,
} from '../extensions/extended-key-usage.ts';
import { encodeNameConstraints, NAME_CONSTRAINTS } from '../extensions/name-constraints.ts';
import { encodeSubjectAltName, SUBJECT_ALT_NAME } from '../extensions/subject-alt-name.ts';
import { SUBJECT_KEY_IDENTIFIER } from '../extensions/subject-key-identifier.ts';
import { encodeName, parseName } from '../name.ts';
import { keyIdentifier, parsePublicKey } from '../public-key.ts';
import { certificateFault, type Purpose, type Role } from './certificate-rules.ts';
import { readFacts } from './facts.ts';
import { newBudget } from './limits.ts';
import { type PathPolicy, RFC5280, WEBPKI } from './policy.ts';
import { INHIBIT_ANY_POLICY, POLICY_CONSTRAINTS } from './policy-extensions.ts';
import { extension, issue, NOW, newKey, type Wish } from './testdata/issue.ts';

const NONE: PathPolicy = { ...RFC5280, name: 'none' };
const dns = [{ kind: 'dns', value: 'leaf.test' }] as const;
const root = issue('root', { ca: true });

function faultOf(certificate: Certificate, role: Role, policy: PathPolicy, purpose?: Purpose): string | undefined {
  const standard = { at: NOW, policy, purpose, keyUsage: undefined, budget: newBudget() };
  return certificateFault(readFacts(certificate), role, standard)?.detail;
}

const made = (name: string, wish: Wish): Certificate => issue(name, { issuer: root, ...wish }).certificate;
const leafWith = (...extensions: Extension[]): Certificate =>
  made('leaf.test', { names: dns, extensions: Object.fromEntries(extensions.map((each) => [each.oid, each])) });
const authorityWith = (...extensions: Extension[]): Certificate =>
  made('ca', { ca: true, extensions: Object.fromEntries(extensions.map((each) => [each.oid, each])) });
const rootWith = (...extensions: Extension[]): Certificate =>
  issue('root', { ca: true, extensions: Object.fromEntries(extensions.map((each) => [each.oid, each])) }).certificate;
const usage = (critical: boolean, ...purposes: string[]) =>
  extension(EXTENDED_KEY_USAGE, encodeExtendedKeyUsage(purposes), critical);
const copyOf = (certificate: Certificate, oid: string, critical: boolean): Extension => {
  return extension(oid, certificate.extensions.find((each) => each.oid === oid)!.value, critical);
};
const plain = leafWith();
const constraints = encodeNameConstraints({ permitted: dns, excluded: [] });
const access = encodeAuthorityInfoAccess([
  { method: '1.3.6.1.5.5.7.48.2', location: { kind: 'uri', value: 'http://a.test' } },
]);

/** Each breaks exactly one rule that `plain` certificates keep: certificate, role, fault by RFC 5280. */
const BROKEN: readonly [Certificate, Role, string][] = [
  [{ ...plain, version: 2 }, 'leaf', 'is not of version 3'],
  [{ ...plain, serial: Uint8Array.of(0) }, 'leaf', 'has a serial number that is not positive'],
  [{ ...plain, serial: Uint8Array.of(0x80) }, 'leaf', 'has a serial number that is not positive'],
  [{ ...plain, serial: new Uint8Array(21).fill(1) }, 'leaf', 'has a serial number above 20 octets'],
  [{ ...plain, issuer: made('', { names: dns }).subject }, 'leaf', 'has no issuer name'],
  [leafWith(copyOf(plain, AUTHORITY_KEY_IDENTIFIER, true)), 'leaf', 'marks an extension critical that must not be'],
  [leafWith(copyOf(plain, SUBJECT_KEY_IDENTIFIER, true)), 'leaf', 'marks an extension critical that must not be'],
  [leafWith(extension(AUTHORITY_INFO_ACCESS, access, true)), 'leaf', 'marks an extension critical that must not be'],
  [
    authorityWith(extension(POLICY_CONSTRAINTS, Uint8Array.of(0x30, 3, 0x80, 1, 0))),
    'intermediate',
    'has policy constraints that are not critical',
  ],
  [
    authorityWith(extension(INHIBIT_ANY_POLICY, Uint8Array.of(2, 1, 0))),
    'intermediate',
    'has policy constraints that are not critical',
  ],
  [
    authorityWith(extension(NAME_CONSTRAINTS, constraints)),
    'intermediate',
    'has name constraints that are not critical',
  ],
  [leafWith(extension(NAME_CONSTRAINTS, constraints, true)), 'leaf', 'has name constraints and is no authority'],
  [made('x', { extensions: { [AUTHORITY_KEY_IDENTIFIER]: undefined } }), 'leaf', 'has no authority key identifier'],
  [
    made('x', { ca: true, extensions: { [AUTHORITY_KEY_IDENTIFIER]: undefined } }),
    'anchor',
    'has no authority key identifier',
  ],
  [made('x', { keyUsage: ['keyCertSign'] }), 'leaf', 'may sign certificates and is no authority'],
  [
    made('', { extensions: { [SUBJECT_ALT_NAME]: extension(SUBJECT_ALT_NAME, encodeSubjectAltName(dns)) } }),
    'leaf',
    'has no subject and no critical alternative name',
  ],
  [made('', {}), 'leaf', 'has no subject and no critical alternative name'],
  [made('', { ca: true, names: dns }), 'intermediate', 'is an authority without a name'],
  [
    made('x', { ca: true, extensions: { [SUBJECT_KEY_IDENTIFIER]: undefined } }),
    'intermediate',
    'is an authority without subject key identifier',
  ],
];

for (const [certificate, role, detail] of BROKEN) {
  test(`RFC 5280: a certificate that ${detail} (${role})`, () => {
    assert.equal(faultOf(certificate, role, RFC5280), detail);
  });
}

test('plain certificates break no rule', () => {
  assert.equal(faultOf(plain, 'leaf', RFC5280, 'server'), undefined);
  assert.equal(faultOf(made('ca', { ca: true }), 'intermediate', RFC5280), undefined);
  assert.equal(faultOf(root.certificate, 'anchor', RFC5280), undefined);
  assert.equal(faultOf(made('', { names: dns }), 'leaf', RFC5280), undefined);
  assert.equal(faultOf(leafWith(usage(false, SERVER_AUTH, CLIENT_AUTH)), 'leaf', WEBPKI, 'server'), undefined);
});

test('what just keeps to a rule passes', () => {
  assert.equal(faultOf({ ...plain, serial: new Uint8Array(20).fill(1) }, 'leaf', RFC5280), undefined);
  const address = { kind: 'ip', value: Uint8Array.of(192, 0, 2, 1) } as const;
  const strict = { ...NONE, commonNameIsAlternativeName: true, alternativeNameCriticalOnlyWithoutSubject: true };
  assert.equal(faultOf(made('192.0.2.1', { names: [address] }), 'leaf', strict), undefined);
  assert.equal(faultOf(made('', { names: dns }), 'leaf', strict), undefined);
  const same = parseName(
    encodeName([
      ['O', 'Example'],
      ['CN', 'leaf.test'],
    ]),
  );
  assert.equal(faultOf({ ...plain, subject: same }, 'leaf', strict), undefined);
  const other = parseName(
    encodeName([
      ['O', 'Example'],
      ['CN', 'other.test'],
    ]),
  );
  assert.notEqual(faultOf({ ...plain, subject: other }, 'leaf', strict), undefined);
});

test('the profile of roots is for roots', () => {
  const strict = { ...NONE, rootProfile: true };
  const bare = issue('root', { ca: true, extensions: { [AUTHORITY_KEY_IDENTIFIER]: undefined } });
  assert.equal(faultOf(root.certificate, 'anchor', strict), undefined);
  assert.equal(faultOf(bare.certificate, 'anchor', strict), undefined);
  assert.equal(faultOf(made('cross', { ca: true }), 'anchor', strict), undefined);
  const key = newKey();
  const fields = [
    octetString(keyIdentifier(parsePublicKey(key.spki)), 0x80),
    encode(0xa1, ia5String('a.test', 0x82)),
    encode(0x82, Uint8Array.of(1)),
  ];
  const talkative = extension(AUTHORITY_KEY_IDENTIFIER, sequence(...fields));
  const full = issue('root', { ca: true, key, extensions: { [AUTHORITY_KEY_IDENTIFIER]: talkative } });
  assert.equal(faultOf(full.certificate, 'anchor', NONE), undefined);
  assert.notEqual(faultOf(full.certificate, 'anchor', strict), undefined);
});

test('a self-signed certificate may do without authority key identifier', () => {
  const bare = issue('root', { ca: true, extensions: { [AUTHORITY_KEY_IDENTIFIER]: undefined } });
  assert.equal(faultOf(bare.certificate, 'anchor', RFC5280), undefined);
});

test('an anchor may have any serial number', () => {
  assert.equal(faultOf({ ...root.certificate, serial: Uint8Array.of(0) }, 'anchor', RFC5280), undefined);
});

test('the modulus of an RSA key is a whole number of octets where the policy says so', () => {
  const facts = readFacts(plain);
  const odd = { ...facts, publicKey: { ...facts.publicKey, modulusBits: 2052 } };
  const standard = { at: NOW, purpose: undefined, keyUsage: undefined, budget: newBudget() };
  const strict = { ...standard, policy: { ...NONE, rsaWholeOctets: true } };
  assert.equal(certificateFault(odd, 'leaf', { ...standard, policy: NONE }), undefined);
  assert.equal(certificateFault(facts, 'leaf', strict), undefined);
  assert.equal(certificateFault(odd, 'leaf', strict)?.reason, 'bad_certificate');
});

test('a key usage that is asked for must be there', () => {
  const standard = { at: NOW, policy: RFC5280, purpose: undefined, budget: newBudget() };
  assert.equal(certificateFault(readFacts(plain), 'leaf', { ...standard, keyUsage: 'digitalSignature' }), undefined);
  const fault = certificateFault(readFacts(plain), 'leaf', { ...standard, keyUsage: 'keyAgreement' });
  assert.equal(fault?.reason, 'key_usage');
});

test('purposes', () => {
  const server = leafWith(usage(false, SERVER_AUTH));
  assert.equal(faultOf(server, 'leaf', RFC5280, 'server'), undefined);
  assert.equal(faultOf(server, 'leaf', RFC5280, 'client'), 'is for other purposes');
  assert.equal(faultOf(server, 'leaf', RFC5280), undefined);
  assert.equal(faultOf(leafWith(usage(false, ANY_EXTENDED_KEY_USAGE)), 'leaf', RFC5280, 'client'), undefined);
});

/** One field of a policy, a certificate that only that field refuses, its role and the fault. */
const POLICY_RULES: readonly [Partial<PathPolicy>, Certificate, Role, string][] = [
  [{ leafMayBeAuthority: false }, made('ca', { ca: true }), 'leaf', 'is an authority'],
  [{ leafUsageRequired: true }, plain, 'leaf', 'does not name its purposes as the policy demands'],
  [
    { leafUsageRequired: true },
    leafWith(usage(true, SERVER_AUTH)),
    'leaf',
    'does not name its purposes as the policy demands',
  ],
  [
    { leafUsageRequired: true },
    leafWith(usage(false, SERVER_AUTH, ANY_EXTENDED_KEY_USAGE)),
    'leaf',
    'does not name its purposes as the policy demands',
  ],
  [
    { usageChained: true },
    authorityWith(usage(false, CLIENT_AUTH)),
    'intermediate',
    'is an authority for other purposes',
  ],
  [
    { commonNameIsAlternativeName: true },
    made('Leaf.test', { names: dns }),
    'leaf',
    'has a common name that is none of its alternative names',
  ],
  [
    { commonNameIsAlternativeName: true },
    made('2001:DB8::1', { names: [{ kind: 'ip', value: Buffer.from('20010db8000000000000000000000001', 'hex') }] }),
    'leaf',
    'has a common name that is none of its alternative names',
  ],
  [
    { alternativeNameCriticalOnlyWithoutSubject: true },
    leafWith(copyOf(plain, SUBJECT_ALT_NAME, true)),
    'leaf',
    'has a subject and a critical alternative name',
  ],
  [{ rootProfile: true }, rootWith(usage(false, SERVER_AUTH)), 'anchor', 'is a root with an extended key usage'],
  [
    { rootProfile: true },
    rootWith(extension(AUTHORITY_KEY_IDENTIFIER, encodeAuthorityKeyIdentifier(Uint8Array.of(1)))),
    'anchor',
    'is a root with an authority key identifier that is not its own',
  ],
];

for (const [field, certificate, role, detail] of POLICY_RULES) {
  test(`${Object.keys(field).join()}: a certificate that ${detail}`, () => {
    assert.equal(faultOf(certificate, role, NONE, 'server'), undefined);
    assert.equal(faultOf(certificate, role, { ...NONE, ...field }, 'server'), detail);
  });
}
