/** The rules of the SPIFFE-ID document, each with its clause. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWritError } from '../../src/base/error.ts';
import type { Name } from '../../src/spiffe-id/name.ts';
import { parseSpiffeId, spiffeId } from '../../src/spiffe-id/spiffe-id.ts';
import { instanceId, operatorId, responderId, serverId } from '../../src/spiffe-id/subject.ts';
import { parseTrustDomain } from '../../src/spiffe-id/trust-domain.ts';

const good = (text: string): void => assert.equal(parseSpiffeId(text).uri, text);
const bad = (text: string): void =>
  assert.throws(
    () => parseSpiffeId(text),
    (error) => isWritError(error, 'bad_spiffe_id'),
    text,
  );
const every = (judge: (text: string) => void, ...texts: string[]): void => texts.forEach(judge);

test('SPIFFE-ID §2: the scheme is spiffe', () => {
  good('spiffe://example.com/a');
  every(
    bad,
    'https://example.com/a',
    'spiffes://example.com/a',
    '//example.com/a',
    'example.com/a',
    'urn:spiffe:a',
    '',
  );
});

test('SPIFFE-ID §2: there is a trust domain', () => {
  every(bad, 'spiffe://', 'spiffe:///a', 'spiffe:/a', 'spiffe:a');
});

test('SPIFFE-ID §2: there is neither query nor fragment', () => {
  every(
    bad,
    'spiffe://example.com/a?',
    'spiffe://example.com/a?b=c',
    'spiffe://example.com/a#',
    'spiffe://example.com#b',
  );
});

test('SPIFFE-ID §2: the path may be absent', () => {
  assert.deepEqual(parseSpiffeId('spiffe://example.com').segments, []);
});

test('SPIFFE-ID §2.1: no user information', () => {
  every(bad, 'spiffe://u@example.com/a', 'spiffe://u:p@example.com/a', 'spiffe://@example.com/a');
});

test('SPIFFE-ID §2.1: no port', () => {
  every(bad, 'spiffe://example.com:443/a', 'spiffe://example.com:/a');
});

test('SPIFFE-ID §2.1: the trust domain is in lower case', () => {
  every(bad, 'spiffe://Example.com/a', 'spiffe://EXAMPLE.COM');
});

test('SPIFFE-ID §2.1: letters, digits, dots, dashes and underscores', () => {
  every(good, 'spiffe://a_b-c.d0/x', 'spiffe://-/x', 'spiffe://_/x', 'spiffe://0/x');
  for (const character of [
    ' ',
    '!',
    '$',
    '&',
    "'",
    '(',
    '*',
    '+',
    ',',
    ';',
    '=',
    '~',
    '[',
    ']',
    '\\',
    '^',
    'ä',
    '\0',
    '\n',
    '\t',
    '|',
  ]) {
    bad(`spiffe://a${character}b/x`);
  }
});

test('SPIFFE-ID §2.1: nothing is percent-encoded in the trust domain', () => {
  every(bad, 'spiffe://ex%61mple.com/a', 'spiffe://%/a');
});

test('SPIFFE-ID §2.1: IPv4 addresses are names like others, IPv6 addresses are none', () => {
  good('spiffe://10.2.3.4/a');
  every(bad, 'spiffe://[::1]/a', 'spiffe://::1/a');
});

test('SPIFFE-ID §2.2: nothing is percent-encoded in the path', () => {
  every(bad, 'spiffe://example.com/%61', 'spiffe://example.com/a%2Fb', 'spiffe://example.com/%');
});

test('SPIFFE-ID §2.2: no segment is empty, . or ..', () => {
  every(
    bad,
    'spiffe://example.com//a',
    'spiffe://example.com/a//b',
    'spiffe://example.com/./a',
    'spiffe://example.com/a/.',
    'spiffe://example.com/../a',
    'spiffe://example.com/a/..',
  );
  every(good, 'spiffe://example.com/...', 'spiffe://example.com/.a', 'spiffe://example.com/a.');
});

test('SPIFFE-ID §2.2: no slash at the end', () => {
  every(bad, 'spiffe://example.com/', 'spiffe://example.com/a/');
});

test('SPIFFE-ID §2.2: segments have letters of either case, digits, dots, dashes and underscores', () => {
  good('spiffe://example.com/aZ0.-_');
  for (const character of [
    ' ',
    '!',
    '$',
    '&',
    ':',
    '@',
    '(',
    '*',
    '+',
    ',',
    ';',
    '=',
    '~',
    '[',
    '\\',
    'ä',
    '\0',
    '\n',
    '|',
  ]) {
    bad(`spiffe://example.com/a${character}b`);
  }
});

test('SPIFFE-ID §2.3: 2048 bytes are understood, and no more are made', () => {
  const longest = `spiffe://a/${'b'.repeat(2037)}`;
  assert.equal(longest.length, 2048);
  good(longest);
  bad(`${longest}b`);
  assert.throws(() => spiffeId(parseTrustDomain('a'), 'b'.repeat(2038)));
});

test('SPIFFE-ID §2.3: a trust domain has 255 bytes at most', () => {
  good(`spiffe://${'a'.repeat(255)}/x`);
  bad(`spiffe://${'a'.repeat(256)}/x`);
});

test('SPIFFE-ID §2.4: the path tells capitals and small letters apart', () => {
  assert.notEqual(parseSpiffeId('spiffe://example.com/A').uri, parseSpiffeId('spiffe://example.com/a').uri);
});

test('SPIFFE-ID §2.4: another spelling of scheme or trust domain is not taken for the same id, but refused', () => {
  every(bad, 'SPIFFE://example.com/a', 'Spiffe://example.com/a', 'spiffe://eXample.com/a');
});

test('SPIFFE-ID §3.1: the id of an authority is that of its trust domain, without path', () => {
  const id = parseSpiffeId('spiffe://example.com');
  assert.deepEqual([id.trustDomain, id.segments], ['example.com', []]);
});

test('every id that Writ gives out is one', () => {
  const domain = parseTrustDomain('agents.example.com');
  const [name, instance] = ['planner' as Name, '01jd0000000000000000000000'];
  const ids = [
    instanceId(domain, 'agent', name, instance),
    instanceId(domain, 'service', name, instance),
    operatorId(domain, name),
    serverId(domain),
    responderId(domain),
  ];
  for (const { uri } of ids) good(uri);
});
