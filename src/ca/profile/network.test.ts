import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIpAddress } from '../../x509/path/ip-address.ts';
import { isInNetwork, parseNetwork } from './network.ts';

test('networks: prefixes of any length, in canonical form only', () => {
  const table = {
    '0.0.0.0/0': '0000000000000000',
    '10.0.0.0/8': '0a000000ff000000',
    '10.160.0.0/11': '0aa00000ffe00000',
    '192.0.2.1/32': 'c0000201ffffffff',
    '::/0': '0'.repeat(64),
    'fd00::/8': `fd${'0'.repeat(30)}ff${'0'.repeat(30)}`,
    '2001:db8::/33': `20010db8${'0'.repeat(24)}ffffffff80${'0'.repeat(22)}`,
  };
  for (const [text, hex] of Object.entries(table)) assert.equal(Buffer.from(parseNetwork(text)!).toString('hex'), hex);
  const bad = ['', '10.0.0.0', '10.0.0.0/', '10.0.0.0/33', '10.0.0.0/08', '10.0.0.0/8/8', '10.0.0.0/-1', '::/129'];
  for (const text of [...bad, '10.1.0.0/8', '10.0.0/8', '/8', 'corp.example/8', '10.0.0.0/8 ', 'fe80::%eth0/10']) {
    assert.equal(parseNetwork(text), undefined, text);
  }
});

test('an address lies in a network of its own family alone', () => {
  const table: [string, string, boolean][] = [
    ['10.200.3.4', '10.0.0.0/8', true],
    ['11.0.0.0', '10.0.0.0/8', false],
    ['10.160.0.1', '10.160.0.0/11', true],
    ['10.192.0.1', '10.160.0.0/11', false],
    ['10.0.0.1', '0.0.0.0/0', true],
    ['::1', '0.0.0.0/0', false],
    ['10.0.0.1', '::/0', false],
    ['::ffff:10.0.0.1', '10.0.0.0/8', false],
    ['::1', '::1/128', true],
    ['::2', '::1/128', false],
  ];
  for (const [address, network, inside] of table) {
    assert.equal(isInNetwork(parseIpAddress(address)!, parseNetwork(network)!), inside, `${address} in ${network}`);
  }
});
