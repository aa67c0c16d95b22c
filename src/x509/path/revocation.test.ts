import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encode, oid, sequence, utf8String } from '../../der/writer.ts';
import type { Crl } from '../crl.ts';
import { CRL_DISTRIBUTION_POINTS } from '../extensions/crl-distribution-points.ts';
import { CRL_NUMBER, DELTA_CRL_INDICATOR } from '../extensions/crl-number.ts';
import { encodeDistributionPointName } from '../extensions/distribution-point-name.ts';
import {
  encodeIssuingDistributionPoint,
  ISSUING_DISTRIBUTION_POINT,
} from '../extensions/issuing-distribution-point.ts';
import { RFC5280 } from './policy.ts';
import { crlNumber, DAY, type Entity, extension, issue, issueCrl, NOW } from './testdata/issue.ts';
import { validatePath } from './validate.ts';

const here = [{ kind: 'uri', value: 'http://crl.test/1' }] as const;
const elsewhere = [{ kind: 'uri', value: 'http://crl.test/2' }] as const;
const relative = { relativeName: encode(0xa1, attribute('a')) };
const otherRelative = { relativeName: encode(0xa1, attribute('b')) };
const point = extension(
  CRL_DISTRIBUTION_POINTS,
  sequence(...[{ fullName: here }, relative].map((name) => sequence(encodeDistributionPointName(name)))),
);

function attribute(text: string): Uint8Array {
  return sequence(oid('2.5.4.3'), utf8String(text));
}

const root = issue('root', { ca: true });
const middle = issue('middle', { ca: true, issuer: root });
const leaf = issue('leaf', { issuer: middle, extensions: { [CRL_DISTRIBUTION_POINTS]: point } });

const entry = (entity: Entity) => ({ serial: entity.certificate.serial, revokedAt: NOW - DAY });
const scope = (value: Uint8Array, critical = true) => extension(ISSUING_DISTRIBUTION_POINT, value, critical);
const good = issueCrl({ issuer: middle, revoked: [entry(middle)] });
const revokes = (...extensions: ReturnType<typeof extension>[]): Crl =>
  issueCrl({ issuer: middle, revoked: [entry(leaf)], extensions: [crlNumber(), ...extensions] });
const forged: Crl = { ...issueCrl({ issuer: middle, revoked: [entry(leaf)] }), signature: new Uint8Array(64) };
const stranger = issue('middle', { ca: true });

const CASES: Readonly<Record<string, [Crl[], 'accepted' | 'revoked' | 'revocation_unknown']>> = {
  'no list': [[], 'accepted'],
  'a list without it': [[good], 'accepted'],
  'a list with it': [[issueCrl({ issuer: middle, revoked: [entry(root), entry(leaf)] })], 'revoked'],
  'one list of two with it': [[good, revokes()], 'revoked'],
  'a list of another issuer': [[issueCrl({ issuer: root, revoked: [entry(leaf)] })], 'accepted'],
  'its issuer is on the list above': [[issueCrl({ issuer: root, revoked: [entry(middle)] }), good], 'revoked'],
  'not fresh': [[issueCrl({ issuer: middle, nextUpdate: NOW - 1000 })], 'revocation_unknown'],
  'from the future': [[issueCrl({ issuer: middle, thisUpdate: NOW + 1000 })], 'revocation_unknown'],
  'without an end': [[{ ...good, nextUpdate: undefined }], 'revocation_unknown'],
  'of version 1': [[{ ...good, version: 1 }], 'revocation_unknown'],
  'badly signed': [[forged], 'revocation_unknown'],
  'badly signed beside a good one': [[forged, good], 'accepted'],
  'signed with another key of that name': [[issueCrl({ issuer: stranger })], 'revocation_unknown'],
  'without number': [
    [issueCrl({ issuer: middle, extensions: [scope(encodeIssuingDistributionPoint({ name: { fullName: here } }))] })],
    'revocation_unknown',
  ],
  'with a critical number': [[issueCrl({ issuer: middle, extensions: [crlNumber(true)] })], 'revocation_unknown'],
  'with a malformed number': [
    [issueCrl({ issuer: middle, extensions: [extension(CRL_NUMBER, Uint8Array.of(5, 0))] })],
    'revocation_unknown',
  ],
  'a delta': [[revokes(extension(DELTA_CRL_INDICATOR, crlNumber().value, true))], 'revocation_unknown'],
  'with a malformed scope': [[revokes(scope(Uint8Array.of(5, 0)))], 'revocation_unknown'],
  'for leaves alone': [[revokes(scope(encodeIssuingDistributionPoint({ onlyUserCerts: true })))], 'revoked'],
  'for authorities alone': [[revokes(scope(encodeIssuingDistributionPoint({ onlyCaCerts: true })))], 'accepted'],
  'for its distribution point': [
    [revokes(scope(encodeIssuingDistributionPoint({ name: { fullName: here } })))],
    'revoked',
  ],
  'for the other of its points': [[revokes(scope(encodeIssuingDistributionPoint({ name: relative })))], 'revoked'],
  'for another relative point': [[revokes(scope(encodeIssuingDistributionPoint({ name: otherRelative })))], 'accepted'],
  'for a point of several names': [
    [revokes(scope(encodeIssuingDistributionPoint({ name: { fullName: [...elsewhere, ...here] } })))],
    'revoked',
  ],
  'from this very second': [[issueCrl({ issuer: middle, thisUpdate: NOW })], 'accepted'],
  'until this very second': [[issueCrl({ issuer: middle, nextUpdate: NOW })], 'accepted'],
  'for another point': [
    [revokes(scope(encodeIssuingDistributionPoint({ name: { fullName: elsewhere } })))],
    'accepted',
  ],
};

for (const [title, [crls, want]] of Object.entries(CASES)) {
  test(title, () => {
    const anchors = [root.certificate];
    const intermediates = [middle.certificate];
    const result = validatePath({ leaf: leaf.certificate, intermediates, anchors, at: NOW, policy: RFC5280, crls });
    assert.equal(result.valid ? 'accepted' : result.reason, want);
  });
}

test('an entry with a critical extension spoils the list', () => {
  const entries = [
    { ...entry(middle), extensions: [] },
    { ...entry(root), extensions: [extension('2.5.29.29', Uint8Array.of(5, 0), true)] },
  ];
  const result = validatePath({
    leaf: leaf.certificate,
    intermediates: [middle.certificate],
    anchors: [root.certificate],
    at: NOW,
    policy: RFC5280,
    crls: [{ ...good, entries }],
  });
  assert.ok(!result.valid && result.reason === 'revocation_unknown');
});

test('an authority that may not sign lists signs none', () => {
  const mute = issue('middle', { ca: true, key: middle.key, issuer: root, keyUsage: ['keyCertSign'] });
  const request = { leaf: leaf.certificate, intermediates: [mute.certificate], anchors: [root.certificate] };
  const result = validatePath({ ...request, at: NOW, policy: RFC5280, crls: [good] });
  assert.ok(!result.valid && result.reason === 'revocation_unknown');
});
