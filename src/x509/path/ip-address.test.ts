import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatIpAddress, parseIpAddress } from './ip-address.ts';

const hex = (octets: Uint8Array | undefined): string | undefined =>
  octets === undefined ? undefined : Buffer.from(octets).toString('hex');

test('text becomes octets, or nothing', () => {
  const cases: [string, string | undefined][] = [
    ['192.0.2.1', 'c0000201'],
    ['::', '00000000000000000000000000000000'],
    ['::1', '00000000000000000000000000000001'],
    ['1::', '00010000000000000000000000000000'],
    ['2001:DB8::8a2e:370:7334', '20010db80000000000008a2e03707334'],
    ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
    ['::ffff:192.0.2.1', '00000000000000000000ffffc0000201'],
    ['192.168.001.001', undefined],
    ['0xC0A80101', undefined],
    ['192.0.2', undefined],
    ['fe80::1%eth0', undefined],
    ['example.com', undefined],
    ['', undefined],
  ];
  for (const [text, want] of cases) assert.equal(hex(parseIpAddress(text)), want, text);
});

test('octets become the one text of RFC 5952', () => {
  for (const text of [
    '192.0.2.1',
    '::',
    '::1',
    '1::',
    '2001:db8::1:0:0:1',
    '2001:db8:0:1:1:1:1:1',
    '1:2:3:4:5:6:7:8',
  ]) {
    assert.equal(formatIpAddress(parseIpAddress(text)!), text);
  }
  assert.equal(formatIpAddress(parseIpAddress('2001:DB8:0:0:1:0:0:1')!), '2001:db8::1:0:0:1');
});
