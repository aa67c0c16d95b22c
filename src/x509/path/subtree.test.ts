import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIpAddress } from './ip-address.ts';
import { splitMailbox } from './mailbox.ts';
import { type ConstrainedName, dnsSubtree, emailSubtree, ipSubtree, isWithin, touches, uriSubtree } from './subtree.ts';
import { uriHost } from './uri-host.ts';

const dns = (name: string): ConstrainedName => ({ form: 'dns', name });
const uri = (text: string): ConstrainedName => ({ form: 'uri', host: uriHost(text) });
const email = (text: string): ConstrainedName => ({ form: 'email', ...splitMailbox(text)! });
const ip = (text: string): ConstrainedName => ({ form: 'ip', octets: parseIpAddress(text)! });
const network = (address: string, mask: string) => ipSubtree(Buffer.from([...octets(address), ...octets(mask)]));
const octets = (text: string): Uint8Array => parseIpAddress(text)!;

/** name, subtree, wholly within, touched in part. */
type Row = [ConstrainedName, ReturnType<typeof dnsSubtree>, boolean, boolean];

const ROWS: Readonly<Record<string, Row>> = {
  'dns: the name itself': [dns('a.test'), dnsSubtree('a.test'), true, true],
  'dns: case does not count in the subtree': [dns('a.test'), dnsSubtree('A.TEST'), true, true],
  'dns: a name below': [dns('x.y.a.test'), dnsSubtree('a.test'), true, true],
  'dns: a longer last label': [dns('not-a.test'), dnsSubtree('a.test'), false, false],
  'dns: the name above': [dns('a.test'), dnsSubtree('x.a.test'), false, false],
  'dns: empty is everything': [dns('a.test'), dnsSubtree(''), true, true],
  'dns: a wildcard under the base': [dns('*.a.test'), dnsSubtree('a.test'), true, true],
  'dns: a wildcard that covers the base': [dns('*.a.test'), dnsSubtree('x.a.test'), false, true],
  'dns: a wildcard covers one label only': [dns('*.a.test'), dnsSubtree('x.y.a.test'), false, false],
  'dns: a wildcard of another domain': [dns('*.b.test'), dnsSubtree('x.a.test'), false, false],
  'uri: the host itself': [uri('spiffe://agents.test/agent/a/1'), uriSubtree('agents.test'), true, true],
  'uri: with a port': [uri('https://Agents.test:8443/'), uriSubtree('agents.test'), true, true],
  'uri: a host below is another host': [uri('spiffe://x.agents.test/a'), uriSubtree('agents.test'), false, false],
  'uri: a period permits hosts below': [uri('spiffe://x.y.agents.test/a'), uriSubtree('.agents.test'), true, true],
  'uri: a period does not permit the host': [uri('spiffe://agents.test/a'), uriSubtree('.agents.test'), false, false],
  'uri: a suffix is not enough': [uri('spiffe://evil-agents.test/'), uriSubtree('.agents.test'), false, false],
  'uri: no authority': [uri('urn:agents.test'), uriSubtree('agents.test'), false, true],
  'uri: an address': [uri('https://192.0.2.1/'), uriSubtree('agents.test'), false, true],
  'uri: a user part': [uri('https://evil.test\\@agents.test/'), uriSubtree('agents.test'), false, true],
  'email: the mailbox itself': [email('a@x.test'), emailSubtree('a@X.test'), true, true],
  'email: the case of the local part counts': [email('A@x.test'), emailSubtree('a@x.test'), false, false],
  'email: an asterisk is no wildcard': [email('user@x.test'), emailSubtree('*@x.test'), false, false],
  'email: a host': [email('a@x.test'), emailSubtree('x.test'), true, true],
  'email: a host below is another host': [email('a@y.x.test'), emailSubtree('x.test'), false, false],
  'email: a period permits hosts below': [email('a@y.x.test'), emailSubtree('.x.test'), true, true],
  'email: a period does not permit the host': [email('a@x.test'), emailSubtree('.x.test'), false, false],
  'ip: inside': [ip('192.0.2.7'), network('192.0.2.0', '255.255.255.0'), true, true],
  'ip: outside': [ip('192.0.3.7'), network('192.0.2.0', '255.255.255.0'), false, false],
  'ip: all': [ip('203.0.113.9'), network('0.0.0.0', '0.0.0.0'), true, true],
  'ip: the other family': [ip('::1'), network('0.0.0.0', '0.0.0.0'), false, false],
  'ip: six': [ip('2001:db8::1'), network('2001:db8::', 'ffff:ffff::'), true, true],
  'directory: a prefix': [{ form: 'directory', rdns: ['o', 'cn'] }, { form: 'directory', rdns: ['o'] }, true, true],
  'directory: longer than the name': [
    { form: 'directory', rdns: ['o'] },
    { form: 'directory', rdns: ['o', 'cn'] },
    false,
    false,
  ],
  'directory: the same at first': [
    { form: 'directory', rdns: ['o', 'x'] },
    { form: 'directory', rdns: ['o', 'cn'] },
    false,
    false,
  ],
  'directory: no prefix': [{ form: 'directory', rdns: ['o', 'cn'] }, { form: 'directory', rdns: ['cn'] }, false, false],
  'other names are never within, always touched': [{ form: 'tag 160' }, { form: 'tag 160' }, false, true],
};

for (const [title, [name, subtree, within, touched]] of Object.entries(ROWS)) {
  test(title, () => {
    assert.ok(subtree);
    assert.equal(isWithin(name, subtree), within);
    assert.equal(touches(name, subtree), touched);
  });
}

test('malformed subtrees are none', () => {
  for (const text of ['*.a.test', '.a.test', 'a..test', '192.0.2.1', 'a_b.test'])
    assert.equal(dnsSubtree(text), undefined, text);
  for (const text of ['', '.', '..a.test', 'https://a.test', '192.0.2.1'])
    assert.equal(uriSubtree(text), undefined, text);
  for (const text of ['', '@', 'a@', '@a.test', 'a@b@a.test', '"a"@a.test', 'a@.a.test']) {
    assert.equal(emailSubtree(text), undefined, text);
  }
  assert.equal(ipSubtree(Buffer.alloc(4)), undefined);
  assert.equal(ipSubtree(Buffer.alloc(16)), undefined);
  assert.equal(network('192.0.2.0', '255.0.255.0'), undefined);
});

test('malformed mailboxes are none', () => {
  for (const text of [
    '',
    'a',
    'a@b@c.test',
    '.a@c.test',
    'a.@c.test',
    'a b@c.test',
    'a@c_d.test',
    `${'a'.repeat(65)}@c.test`,
  ]) {
    assert.equal(splitMailbox(text), undefined, text);
  }
  assert.deepEqual(splitMailbox('**@C.test'), { local: '**', host: 'c.test' });
});
