import { createSecretKey } from 'node:crypto';
import { systemRandom } from '../../../src/base/random.ts';
import { newDerivation, seal } from '../../../src/keys/sealed.ts';
import { encodeLeaf } from '../../../src/ledger/entry.ts';
import { canonicalJson } from '../../../src/merkle/canonical-json.ts';
import { NOW } from '../../../src/x509/path/testdata/issue.ts';
import type { Files } from './files.ts';

const ID = '01jd0000000000000000000000';
const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));

export function bodies(): Record<string, Files> {
  const wanted = {
    csr: 'MIIB',
    lifetime_seconds: 3600,
    dns_names: ['a.agents.test'],
    ip_addresses: ['127.0.0.1'],
    scopes: ['read'],
  };
  const agent = {
    name: 'planner',
    owner: { team: 'platform', sponsor: 'sam@example.test' },
    purpose: 'Plans.',
    environment: 'production',
    model: { provider: 'example', name: 'model', version: '1' },
    labels: { tier: 'a' },
  };
  const token = {
    agent: 'planner',
    uses: 3,
    lifetime_seconds: 600,
    workflow: 'nightly',
    scopes: ['read'],
    labels: { a: 'b' },
  };
  const profile = {
    name: 'batch',
    subjects: ['agent'],
    keys: ['ec-p256'],
    lifetime: { default: 3600, least: 300, most: 86400 },
    dns: ['agents.test'],
    networks: ['127.0.0.0/8', '2001:db8::/32'],
    context: true,
    revocation: 'revocable',
  };
  const record = (type: 'log.started' | 'certificate.issued', body: Record<string, string | number>): Uint8Array =>
    encodeLeaf({ type, subjects: ['agent:planner', `instance:${ID}`], body }, { time: NOW, random: systemRandom() })
      .entry;
  const started = record('log.started', {});
  const kek = { derivation: newDerivation(systemRandom()), key: createSecretKey(Buffer.alloc(32)) };
  const sealed = seal(kek, { id: 'root', purpose: 'authority' }, Buffer.alloc(32), systemRandom());
  return {
    'json-body': {
      'ok-agent': json(agent),
      'ok-enrol': json({ token: 'writ-join-1-AAAA', ...wanted }),
      'ok-issue': json({ instance: ID, ...wanted }),
      'ok-renew': json(wanted),
      'ok-stop': json({ cause: 'decommissioned' }),
      'ok-token': json(token),
      'ok-acks': json({ point: 'gateway-1', log: 1, acks: [{ position: 7, accepted_before: 2 }] }),
      'ok-cord': json({ target: { kind: 'label', name: 'tier=a' }, cause: 'key_theft', evidence: 'https://a.test/1' }),
      'ok-policies': json({ text: 'permit (principal, action, resource);', after: 3 }),
      'refused-twice': '{"cause":"a","cause":"b"}',
      'refused-list': '[]',
      'refused-prototype': '{"__proto__":{"cause":"a"}}',
    },
    'agent-input': { 'ok-full': json(agent), 'refused-no-owner': json({ ...agent, owner: {} }) },
    'token-input': { 'ok-agent': json(token), 'refused-both': json({ ...token, service: 'planner' }) },
    'profile-input': { 'ok-batch': json(profile), 'refused-reserved': json({ ...profile, name: 'root' }) },
    'sealed-key': {
      'ok-plain': sealed,
      'refused-version': Buffer.concat([sealed.subarray(0, 4), Buffer.of(9), sealed.subarray(5)]),
      'refused-cut': sealed.subarray(0, 20),
    },
    'anchor-record': {
      'ok-unsigned': canonicalJson({
        batches: [{ first: 0, entries: ['e30='] }],
        origin: 'agents.test/ledger',
        signature: Buffer.alloc(64).toString('base64'),
      }),
    },
    config: {
      'ok-least': json({ trustDomain: 'agents.test', anchor: '/var/lib/writ-anchor' }),
      'ok-more': json({
        trustDomain: 'agents.test',
        anchor: '/a',
        names: ['writ.agents.test'],
        listen: { api: '127.0.0.1:7443' },
        rateLimit: { perSecond: 10 },
        logLevel: 'debug',
      }),
      'refused-unknown': json({ trustDomain: 'agents.test', anchor: '/a', colour: 1 }),
    },
    'canonical-json': {
      'ok-nested': '{"a":[1,"é",true,{"b":-2}],"c":{}}',
      'ok-text': '"\\u0001\\n\\\\\\""',
      'refused-order': '{"b":1,"a":2}',
      'refused-space': '{"a": 1}',
      'refused-fraction': '[1.5]',
    },
    'ledger-entry': {
      'ok-started': started,
      'ok-issued': record('certificate.issued', { serial: '00', der: 'AAAA', count: 1 }),
      'refused-cut': started.subarray(0, -1),
    },
  };
}
