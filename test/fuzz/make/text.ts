import { systemRandom } from '../../../src/base/random.ts';
import { formatSerial, makeSerial } from '../../../src/ca/certificate/serial.ts';
import { encodeCursor } from '../../../src/db/cursor.ts';
import { formatJoinToken } from '../../../src/wire/join-token.ts';
import { NOW } from '../../../src/x509/path/testdata/issue.ts';
import type { Files } from './files.ts';

const AGENT = 'spiffe://agents.test/agent/planner/01jd0000000000000000000000';
const hash = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);

export function texts(): Record<string, Files> {
  const token = formatJoinToken({
    rootFingerprint: hash(1),
    id: hash(2).subarray(16),
    secret: hash(3).subarray(12),
    address: 'writ.agents.test:7443',
  });
  return {
    'join-token': {
      'ok-plain': token,
      'ok-spaces': ` ${token}\n`,
      'refused-cut': token.slice(0, -1),
      'refused-version': token.replace('-1-', '-2-'),
    },
    'spiffe-id': {
      'ok-agent': AGENT,
      'ok-server': 'spiffe://agents.test/writ/server',
      'ok-domain': 'spiffe://agents.test',
      'ok-foreign': 'spiffe://10.1.2.3/a_b/C.d',
      'refused-dots': 'spiffe://agents.test/../x',
      'refused-port': 'spiffe://agents.test:443/x',
    },
    'trust-domain': {
      'ok-plain': 'agents.test',
      'ok-underscore': 'a_b',
      'refused-upper': 'Agents.test',
      'refused-empty': '',
    },
    hosts: {
      'ok-dns': 'a.agents.test',
      'ok-wildcard': '*.agents.test',
      'ok-ipv4': '192.0.2.1',
      'ok-ipv6': '2001:db8::1:0:0:1',
      'ok-mapped': '::ffff:192.0.2.1',
      'ok-mail': 'a.b+c@agents.test',
      'ok-uri': 'https://agents.test:8443/x?y#z',
    },
    network: { 'ok-ipv4': '10.0.0.0/8', 'ok-ipv6': '2001:db8::/32', 'ok-none': '10.0.0.1/8' },
    serial: {
      'ok-hex': formatSerial(makeSerial(NOW, 3600, systemRandom())),
      'ok-colons': formatSerial(makeSerial(NOW, 3600, systemRandom()))
        .toUpperCase()
        .replace(/..(?=.)/g, '$&:'),
      'refused-short': '01',
    },
    cursor: {
      'ok-position': encodeCursor('agents', { status: 'active' }, ['planner', 7]),
      'refused-other-listing': encodeCursor('tokens', { status: 'active' }, ['planner', 7]),
      'refused-shape': encodeCursor('agents', { status: 'active' }, ['planner']),
    },
    'idempotency-key': {
      'ok-uuid': '0b0e3a52-2f3c-4f4e-9a51-3d4c8b1c2d3e',
      'ok-quoted': '"0b0e3a522f3c4f4e"',
      'refused-short': 'x',
    },
  };
}
