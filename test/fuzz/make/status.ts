import { NOW } from '../../../src/x509/path/testdata/issue.ts';
import type { Files } from './files.ts';

const HIGH = 'https://schemas.openid.net/secevent/caep/event-type/risk-level-change';
const REVOKED = 'https://schemas.openid.net/secevent/caep/event-type/session-revoked';
const AGENT = 'spiffe://agents.test/agent/planner';
const INSTANCE = `${AGENT}/01jd0000000000000000000000`;

/** What comes to the doors of status services; the question of OCSP itself is in `ocsp.ts`. */
export function status(): Record<string, Files> {
  const claims = {
    iss: 'https://idp.test',
    aud: ['https://writ.test'],
    jti: 'a-1',
    iat: NOW / 1000,
    sub_id: { format: 'uri', uri: INSTANCE },
    events: { [REVOKED]: { initiating_entity: 'policy', event_timestamp: NOW / 1000 } },
  };
  const complex = { format: 'complex', user: { format: 'uri', uri: AGENT }, session: { format: 'opaque', id: 'x' } };
  const stream = {
    delivery: { method: 'urn:ietf:rfc:8935', endpoint_url: 'https://receiver.test/events' },
    events_requested: [REVOKED],
    description: 'Night shift',
  };
  const inside = { ...stream, delivery: { ...stream.delivery, endpoint_url: 'https://127.0.0.1/' } };
  return {
    'set-claims': {
      'ok-instance': JSON.stringify(claims),
      'ok-complex': JSON.stringify({ ...claims, sub_id: complex, events: { [HIGH]: { current_level: 'HIGH' } } }),
      'ok-nobody': JSON.stringify({
        ...claims,
        aud: 'https://writ.test',
        sub_id: { format: 'email', email: 'a@b.test' },
      }),
      'ok-nothing': JSON.stringify({ ...claims, events: { 'urn:other': {} } }),
      'refused-issuer': JSON.stringify({ ...claims, iss: 'https://other.test' }),
      'refused-old': JSON.stringify({ ...claims, iat: 1 }),
      'refused-sub': JSON.stringify({ ...claims, sub: AGENT }),
      'refused-no-event': JSON.stringify({ ...claims, events: {} }),
    },
    bearer: {
      'ok-plain': 'Bearer corpus-corpus-corpus',
      'ok-lower': 'bearer   corpus-corpus-corpus',
      'refused-other': 'Bearer another-another-another',
      'refused-basic': 'Basic Y29ycHVzOmNvcnB1cw==',
    },
    'receiver-url': {
      'ok-name': 'https://receiver.example.com:8443/events?x=1',
      'ok-address': 'https://8.8.8.8/',
      'refused-http': 'http://receiver.example.com/',
      'refused-inside': 'https://[::ffff:127.0.0.1]/',
      'refused-credentials': 'https://a:b@receiver.example.com/',
    },
    'push-answer': {
      'ok-final': '{"err":"invalid_issuer","description":"who are you"}',
      'ok-passing': '{"err":"authentication_failed"}',
      'ok-html': '<html><body>Bad Request</body></html>',
    },
    'stream-body': {
      'ok-push': JSON.stringify(stream),
      'ok-poll': JSON.stringify({ delivery: { method: 'urn:ietf:rfc:8936' } }),
      'refused-inside': JSON.stringify(inside),
      'refused-member': JSON.stringify({ ...stream, colour: 1 }),
    },
    'ocsp-path': {
      'ok-plain': 'MEIwQDA+MDwwOjAJBgUrDgMCGgUABBQ5',
      'ok-percent': 'MEIwQDA%2BMDwwOjAJBgUrDgMCGgUABBQ5AA%3D%3D',
      'refused-cut': 'MEIwQDA%2',
      'refused-spare-bits': 'MEIwQDB=',
      'refused-other': 'MEIw QDA',
    },
  };
}
