import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { manualClock } from '../base/clock.ts';
import { isWritError } from '../base/error.ts';
import { systemRandom } from '../base/random.ts';
import { driftOf, runtimeFacts } from '../wire/runtime-facts.ts';
import { CHALLENGE_MS, deriveOf, makeChallenge, readChallenge } from './challenge.ts';
import type { EvidenceFacts } from './evidence.ts';
import { matches, orderedFacts, pairsOf, parseMatch, prefixesOf, seenByNode } from './facts.ts';

test('all that an entry asks for must hold; a star asks for a beginning', () => {
  const facts: EvidenceFacts = { 'unix:uid': ['1000'], 'unix:gid': ['5', '7'], 'unix:path': ['/opt/a/bin'] };
  const cases: [string[], boolean][] = [
    [['unix:uid=1000'], true],
    [['unix:uid=100'], false],
    [['unix:uid=10000'], false],
    [['unix:uid=1000', 'unix:gid=7'], true],
    [['unix:uid=1000', 'unix:gid=6'], false],
    [['unix:path=/opt/*'], true],
    [['unix:path=/opt*/bin'], false],
    [['unix:path=*'], true],
    [['systemd:unit=*'], false],
    [['__proto__=*'], false],
    [['constructor=*'], false],
  ];
  for (const [match, want] of cases) assert.equal(matches(match, facts), want, match.join(' '));
});

test('an entry asks for facts that its source has, each once, in order', () => {
  assert.deepEqual(parseMatch(['unix:uid=1', 'k8s:pod=x', 'unix:uid=1'], 'node', '/match'), [
    'k8s:pod=x',
    'unix:uid=1',
  ]);
  assert.deepEqual(parseMatch(['oidc:claim/https://x.example/y=a=b'], 'oidc', '/match'), [
    'oidc:claim/https://x.example/y=a=b',
  ]);
  const some = ['unix:gid=*', 'unix:path=*', 'unix:path=/opt/*', 'unix:uid=10*'];
  assert.deepEqual(parseMatch(some, 'node', '/match'), some);
  assert.deepEqual(prefixesOf('nobody'), []);
  for (const [text, source] of [
    ['oidc:sub=x', 'node'],
    ['unix:uid=1', 'oidc'],
    ['aws:account=1', 'gcp'],
    ['unix:uid', 'node'],
    ['unix:uid=', 'node'],
    ['=1', 'node'],
    ['unix: uid=1', 'node'],
    ['unix:uid=1\n', 'node'],
    ['unix:uid=\u202e1', 'node'],
    [`unix:path=${'x'.repeat(1025)}`, 'node'],
    [`unix:${'x'.repeat(129)}=1`, 'node'],
    ['unix:usr=root', 'node'],
    ['unix:uid=root', 'node'],
    ['unix:gid=1*0', 'node'],
    ['unix:path=bin/planner', 'node'],
    ['unix:path=*/planner', 'node'],
    ['systemd:service=planner.service', 'node'],
    ['container:label/=x', 'node'],
    ['k8s:serviceaccount=x', 'k8s'],
    ['container:id/x=y', 'node'],
    ['parent:ref=trip-*', 'node'],
    ['oidc:repository=example/app', 'oidc'],
    ['agent:tool_sha256=5f2c', 'node'],
  ] as const) {
    assert.throws(
      () => parseMatch([text], source, '/match'),
      (error) => isWritError(error, 'bad_request'),
      text,
    );
  }
});

test('an entry can ask for every fact that the daemon is said to see', () => {
  const page = readFileSync(new URL('../../docs/WORKLOAD-API.md', import.meta.url), 'utf8');
  const table = page.slice(page.indexOf('| facts | from |'), page.indexOf('Facts of the kind `unix`'));
  const names = [...table.matchAll(/`((?:unix|systemd|container|k8s):[^`]+)`/g)].map(([, name]) => name!);
  assert.ok(new Set(names).size >= 23, String(names));
  for (const name of names) assert.deepEqual(parseMatch([`${name}=*`], 'node', '/match'), [`${name}=*`]);
});

test('facts are in one order and of bounded size, so that equal ones are equal text', () => {
  const one = orderedFacts({ 'unix:gid': ['7', '5', '7'], 'unix:uid': ['1'], 'unix:none': [] }, '/facts');
  assert.equal(JSON.stringify(one), '{"unix:gid":["5","7"],"unix:uid":["1"]}');
  assert.deepEqual(pairsOf(one), ['unix:gid=5', 'unix:gid=7', 'unix:uid=1']);
  const many = Object.fromEntries(Array.from({ length: 100 }, (_, at) => [`unix:x${at}`, ['y'.repeat(1000)]]));
  assert.throws(
    () => orderedFacts(many, '/facts'),
    (error) => isWritError(error, 'too_large'),
  );
  for (const bad of [
    { uid: ['1'] },
    { 'unix:uid=1': ['1'] },
    { 'unix:uid': ['a\u0000'] },
    { 'unix:uid': ['\ud800'] },
  ]) {
    assert.throws(
      () => orderedFacts(bad as never, '/facts'),
      (error) => isWritError(error, 'bad_request'),
    );
  }
});

test('a node speaks for what it sees, and for nobody else', () => {
  const said = {
    'unix:uid': ['1'],
    'oidc:sub': ['root'],
    'agent:tools_sha256': ['aa'],
    'aws:account': ['1'],
    uid: ['0'],
  };
  assert.deepEqual(seenByNode(said), { 'unix:uid': ['1'] });
});

test('what a runtime says is claimed, but for what was seen', () => {
  const image = `sha256:${'a'.repeat(64)}`;
  const runtime = { image_digest: image, framework: 'own' };
  assert.deepEqual(runtimeFacts(runtime, { 'container:image_digest': [image] }), {
    'agent:image_digest': [image],
    'agent:framework': ['own'],
    'agent:verified': ['image_digest'],
    'agent:claimed': ['framework'],
  });
  const other = runtimeFacts(runtime, { 'container:image_digest': [`sha256:${'b'.repeat(64)}`] });
  assert.deepEqual(other['agent:claimed'], ['framework', 'image_digest']);
  assert.equal(other['agent:verified'], undefined);
  assert.deepEqual(runtimeFacts(undefined, {}), {});
});

test('what makes it another agent has drifted, what comes and goes has not', () => {
  const before = { 'unix:sha256': ['aa'], 'unix:pid': ['1'], 'agent:tools_sha256': ['cc'], 'unix:gid': ['5', '7'] };
  assert.deepEqual(driftOf(before, before), []);
  assert.deepEqual(driftOf(before, { ...before, 'unix:pid': ['2'], 'agent:framework': ['new'] }), []);
  assert.deepEqual(driftOf(before, { ...before, 'unix:gid': ['7', '5'] }), []);
  assert.deepEqual(driftOf(before, { ...before, 'unix:gid': ['7'] }), ['unix:gid']);
  assert.deepEqual(driftOf(before, { 'unix:pid': ['1'], 'unix:gid': ['5', '7'] }), [
    'agent:tools_sha256',
    'unix:sha256',
  ]);
  assert.deepEqual(driftOf({}, before), []);
  assert.deepEqual(driftOf({ 'container:image_id': ['a'] }, { 'container:image_id': ['b'] }), ['container:image_id']);
});

test('a challenge is this server’s, for one attestor, and in time', () => {
  const clock = manualClock(1_800_000_000_000);
  const parts = { secret: new Uint8Array(32).fill(1), clock, random: systemRandom() };
  const { text, until } = makeChallenge('one', parts);
  assert.equal(until, clock.now() + CHALLENGE_MS);
  const read = readChallenge(text, 'one', parts);
  assert.deepEqual([read.good, read.good && read.until], [true, until]);
  assert.notEqual(makeChallenge('one', parts).text, text);
  const other = { ...parts, secret: new Uint8Array(32).fill(2) };
  for (const [given, attestor, by] of [
    [text, 'two', parts],
    [text, 'one', other],
    [`${text}A`, 'one', parts],
    [text.slice(0, -1), 'one', parts],
    ['', 'one', parts],
    [`${text.startsWith('A') ? 'B' : 'A'}${text.slice(1)}`, 'one', parts],
  ] as const) {
    assert.deepEqual(readChallenge(given, attestor, by), { good: false, fault: 'bad-challenge' }, given);
  }
  clock.set(until);
  assert.deepEqual(readChallenge(text, 'one', parts), { good: false, fault: 'challenge-expired' });
});

test('what is derived tells servers, attestors and lists of octets apart', () => {
  const secret = new Uint8Array(32).fill(1);
  const [a, b, ab] = [Buffer.from('a'), Buffer.from('b'), Buffer.from('ab')];
  const made = [
    deriveOf('one', { secret })(a, b),
    deriveOf('one', { secret })(ab),
    deriveOf('one', { secret })(b, a),
    deriveOf('two', { secret })(a, b),
    deriveOf('one', { secret: new Uint8Array(32) })(a, b),
  ].map((octets) => Buffer.from(octets).toString('hex'));
  assert.equal(new Set(made).size, made.length);
  assert.equal(Buffer.from(deriveOf('one', { secret })(a, b)).toString('hex'), made[0]);
});
