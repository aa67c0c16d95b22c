import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import type { Certificate } from '../certificate.ts';
import { AUTHORITY_KEY_IDENTIFIER } from '../extensions/authority-key-identifier.ts';
import { BASIC_CONSTRAINTS, encodeBasicConstraints } from '../extensions/basic-constraints.ts';
import { SUBJECT_ALT_NAME } from '../extensions/subject-alt-name.ts';
import { LIMITS } from './limits.ts';
import { RFC5280 } from './policy.ts';
import type { PathReason } from './result.ts';
import { DAY, type Entity, extension, issue, NOW, newKey } from './testdata/issue.ts';
import { type PathRequest, validatePath } from './validate.ts';

const root = issue('root', { ca: true });
const middle = issue('middle', { ca: true, issuer: root });
const leaf = issue('leaf', { issuer: middle, names: [{ kind: 'dns', value: 'a.test' }] });

function request(change: Partial<PathRequest> = {}): PathRequest {
  const anchors = [root.certificate];
  return { leaf: leaf.certificate, intermediates: [middle.certificate], anchors, at: NOW, policy: RFC5280, ...change };
}

const certificates = (...entities: Entity[]): Certificate[] => entities.map(({ certificate }) => certificate);

/** The reason of a refusal, or the number of certificates in the path. */
function outcome(change: Partial<PathRequest>): PathReason | number {
  const result = validatePath(request(change));
  return result.valid ? result.path.length : result.reason;
}

test('a path is given from the leaf to the anchor', () => {
  const result = validatePath(request());
  assert.ok(result.valid);
  assert.deepEqual(result.path, certificates(leaf, middle, root));
});

test('the detail says which certificate, and what about it', () => {
  const result = validatePath(request({ at: NOW + 2 * DAY }));
  assert.deepEqual(result, { valid: false, reason: 'expired', detail: 'the leaf has expired' });
});

test('without an anchor at the end there is no path', () => {
  const twin = issue('root', { ca: true });
  assert.equal(outcome({ intermediates: [] }), 'no_trusted_issuer');
  assert.equal(outcome({ anchors: [] }), 'no_trusted_issuer');
  assert.equal(outcome({ anchors: certificates(twin) }), 'bad_signature');
  assert.equal(outcome({ anchors: [], intermediates: certificates(middle, root) }), 'no_trusted_issuer');
  assert.equal(outcome({ leaf: root.certificate }), 'no_trusted_issuer');
});

test('an anchor need not be self-signed', () => {
  assert.equal(outcome({ anchors: certificates(middle), intermediates: certificates(root) }), 2);
});

test('a signature over other bytes is none', () => {
  const forged = { ...leaf.certificate, tbs: issue('leaf', { issuer: middle }).certificate.tbs };
  assert.equal(outcome({ leaf: forged }), 'bad_signature');
});

test('a key that cannot exist has signed nothing, not even itself', () => {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }));
  spki[spki.length - 1]! ^= 1;
  const impossible: Certificate = { ...middle.certificate, spki, signatureAlgorithm: 'ecdsa-p256-sha256' };
  const unsigned = { ...leaf.certificate, signatureAlgorithm: 'ecdsa-p256-sha256' as const };
  assert.equal(outcome({ leaf: unsigned, anchors: [impossible] }), 'bad_signature');
  const extensions = impossible.extensions.filter(({ oid }) => oid !== AUTHORITY_KEY_IDENTIFIER);
  assert.equal(outcome({ leaf: unsigned, anchors: [{ ...impossible, extensions }] }), 'bad_certificate');
});

test('validity counts to the second, both ends within', () => {
  const { notBefore, notAfter } = leaf.certificate;
  assert.equal(outcome({ at: notBefore }), 3);
  assert.equal(outcome({ at: notAfter + 999 }), 3);
  assert.equal(outcome({ at: notBefore - 1 }), 'not_yet_valid');
  assert.equal(outcome({ at: notAfter + 1000 }), 'expired');
});

test('an expired anchor or intermediate breaks the path', () => {
  const oldRoot = issue('root', { ca: true, key: root.key, notAfter: NOW - 1000 });
  const oldMiddle = issue('middle', { ca: true, key: middle.key, issuer: root, notAfter: NOW - 1000 });
  assert.equal(outcome({ anchors: certificates(oldRoot) }), 'expired');
  assert.equal(outcome({ intermediates: certificates(oldMiddle) }), 'expired');
  assert.equal(outcome({ intermediates: certificates(oldMiddle, middle) }), 3);
});

test('only authorities issue', () => {
  const agent = issue('agent', { issuer: middle });
  const below = issue('below', { issuer: agent });
  assert.equal(outcome({ leaf: below.certificate, intermediates: certificates(middle, agent) }), 'not_an_authority');
  const mute = issue('middle', { ca: true, key: middle.key, issuer: root, keyUsage: ['cRLSign'] });
  assert.equal(outcome({ intermediates: certificates(mute) }), 'key_usage');
  const lax = extension(BASIC_CONSTRAINTS, encodeBasicConstraints({ ca: true }));
  const soft = issue('middle', { ca: true, key: middle.key, issuer: root, extensions: { [BASIC_CONSTRAINTS]: lax } });
  assert.equal(outcome({ intermediates: certificates(soft) }), 'bad_certificate');
});

/** A chain of authorities below `from`; the last one issues the leaf. */
function chain(from: Entity, ...links: readonly (readonly [string, { pathLength?: number }])[]): Entity[] {
  const made: Entity[] = [];
  for (const [name, wish] of links) made.push(issue(name, { ca: true, issuer: made.at(-1) ?? from, ...wish }));
  return made;
}

function through(authorities: Entity[], change: Partial<PathRequest> = {}): PathReason | number {
  const end = issue('end', { issuer: authorities.at(-1)! });
  return outcome({ leaf: end.certificate, intermediates: certificates(...authorities), ...change });
}

test('path length counts the authorities below, self-issued ones not', () => {
  assert.equal(through(chain(root, ['a', { pathLength: 0 }])), 3);
  assert.equal(through(chain(root, ['a', { pathLength: 0 }], ['b', {}])), 'path_too_long');
  assert.equal(through(chain(root, ['a', { pathLength: 1 }], ['b', {}])), 4);
  assert.equal(through(chain(root, ['a', { pathLength: 1 }], ['b', { pathLength: 5 }], ['c', {}])), 'path_too_long');
  assert.equal(through(chain(root, ['a', { pathLength: 0 }], ['a', {}])), 4);
  const strict = issue('root', { ca: true, key: root.key, pathLength: 1 });
  assert.equal(through(chain(strict, ['a', {}]), { anchors: certificates(strict) }), 3);
  assert.equal(through(chain(strict, ['a', {}], ['b', {}]), { anchors: certificates(strict) }), 'path_too_long');
});

test('maxDepth counts the intermediates, self-issued ones not', () => {
  assert.equal(outcome({ maxDepth: 1 }), 3);
  assert.equal(outcome({ maxDepth: 0 }), 'path_too_long');
  assert.equal(through(chain(root, ['a', {}], ['a', {}]), { maxDepth: 1 }), 4);
});

test('an anchor is no intermediate, self-issued or not', () => {
  assert.equal(outcome({ anchors: certificates(middle), intermediates: [], maxDepth: 0 }), 2);
});

test('a path may be as long as the limit', () => {
  const steps = Array.from({ length: LIMITS.depth - 2 }, (_, i) => [`step ${i}`, {}] as const);
  assert.equal(through(chain(root, ...steps)), LIMITS.depth);
  assert.equal(through(chain(root, ...steps, ['one more', {}])), 'path_too_long');
});

test('a certificate that cannot be decoded stands in no path, and does no harm beside one', () => {
  const broken = { [SUBJECT_ALT_NAME]: extension(SUBJECT_ALT_NAME, Uint8Array.of(0x30, 0)) };
  assert.equal(outcome({ leaf: issue('x', { issuer: middle, extensions: broken }).certificate }), 'bad_certificate');
  const malformed = issue('middle', { ca: true, key: middle.key, issuer: root, extensions: broken });
  assert.equal(outcome({ intermediates: certificates(malformed) }), 'bad_certificate');
  assert.equal(outcome({ intermediates: certificates(malformed, middle) }), 3);
});

test('the leaf carries the name that was asked for', () => {
  assert.equal(outcome({ name: { kind: 'dns', value: 'a.test' } }), 3);
  assert.equal(outcome({ name: { kind: 'dns', value: 'b.test' } }), 'wrong_name');
  const bare = issue('a.test', { issuer: middle }).certificate;
  assert.equal(outcome({ leaf: bare, name: { kind: 'dns', value: 'a.test' } }), 'wrong_name');
});

test('name constraints are not for self-issued certificates, the leaf excepted', () => {
  const constraints = { permitted: [{ kind: 'dns', value: 'a.test' }], excluded: [] } as const;
  const names = [{ kind: 'dns', value: 'b.test' }] as const;
  const strict = issue('same', { ca: true, issuer: root, constraints });
  const successor = issue('same', { ca: true, issuer: strict, names });
  assert.equal(through([strict, successor]), 4);
  const other = issue('other', { ca: true, issuer: strict, names });
  assert.equal(through([strict, other]), 'name_constraint');
  const own = issue('same', { issuer: strict, names });
  assert.equal(outcome({ leaf: own.certificate, intermediates: certificates(strict) }), 'name_constraint');
});

test('what a critical extension says must be understood, whoever bears it', () => {
  const strange = { '1.2.3.4': extension('1.2.3.4', Uint8Array.of(5, 0), true) };
  const harmless = { '1.2.3.4': extension('1.2.3.4', Uint8Array.of(5, 0)) };
  assert.equal(
    outcome({ leaf: issue('x', { issuer: middle, extensions: strange }).certificate }),
    'critical_extension',
  );
  assert.equal(outcome({ leaf: issue('x', { issuer: middle, extensions: harmless }).certificate }), 3);
  const odd = issue('middle', { ca: true, key: middle.key, issuer: root, extensions: strange });
  assert.equal(outcome({ intermediates: certificates(odd) }), 'critical_extension');
  assert.equal(outcome({ intermediates: certificates(odd, middle) }), 3);
  assert.equal(
    outcome({ anchors: certificates(issue('root', { ca: true, key: root.key, extensions: strange })) }),
    'critical_extension',
  );
});

test('an authority is found among many of one name, its key identifier pointing to it', () => {
  const crowd = Array.from({ length: 200 }, () => issue('middle', { ca: true, issuer: root }));
  assert.equal(outcome({ intermediates: certificates(...crowd, middle) }), 3);
});

test('branches that lead nowhere are left again', () => {
  const other = issue('other root', { ca: true });
  const cross = issue('middle', { ca: true, key: middle.key, issuer: other });
  const expired = issue('other root', { ca: true, key: other.key, issuer: root, notAfter: NOW - 1000 });
  assert.equal(outcome({ intermediates: certificates(cross, expired, middle) }), 3);
});

test('circles end', () => {
  const [a, b] = [newKey(), newKey()];
  const first = issue('a', { ca: true, key: a });
  const second = issue('b', { ca: true, key: b });
  const loop = [issue('a', { ca: true, key: a, issuer: second }), issue('b', { ca: true, key: b, issuer: first })];
  assert.equal(through(loop), 'no_trusted_issuer');
});

test('work is bounded, whatever is sent', () => {
  const key = newKey();
  const same = Array.from({ length: 100 }, (_, i) =>
    issue('same', { ca: true, key, issuer: { ...root, name: 'same' }, pathLength: i }),
  );
  assert.equal(through(same), 'too_complex');
  const many = Array.from({ length: LIMITS.intermediates }, () => middle.certificate);
  assert.equal(outcome({ intermediates: many }), 3);
  assert.equal(outcome({ intermediates: [...many, middle.certificate] }), 'too_complex');
  const long = chain(root, ...Array.from({ length: 30 }, (_, i) => [`step ${i}`, {}] as const));
  assert.equal(through(long), 'path_too_long');
  // Every pair signs the pair above it: 2^n ways through n layers.
  const layers = [root];
  const lattice: Entity[] = [];
  for (let i = 0; i < 10; i++) {
    const layer = [0, 1].map(() => issue(`layer ${i}`, { ca: true, key, issuer: layers.at(-1)!, pathLength: 0 }));
    lattice.push(...layer);
    layers.push(layer[0]!);
  }
  assert.equal(through(lattice), 'too_complex');
});
