/** Every command answers programs: with `--json` its result is JSON and nothing else, and so is its error. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { commandTable } from '../../src/cmd/commands.ts';
import { cli, type Said, testServer } from '../server.ts';
import { scratchDirectory } from './authority.ts';
import { csrFor, newKey } from './clients.ts';
import { addPeople } from './people.ts';

const rootKey = join(scratchDirectory(), 'root.key');
const server = await testServer({ args: ['--trust-domain', 'agents.example.com', '--root-key-out', rootKey] });
const at = (name: string): string => join(server.scratch, name);

/** Not run here, and why. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  start: 'says one JSON line when it runs, by which every journey finds its server',
  'canary run': 'says one JSON line for each probe, which its own journey reads',
  'feed relay': 'says one JSON line when it runs, which its own journey reads',
  'agent run': 'says one JSON line when it runs, which its own journey reads',
  run: 'stdout is that of the program that is run',
};

type Answer = Record<string, unknown> & { readonly items?: readonly Record<string, unknown>[] };

/** What earlier commands said, by their path. */
const said = new Map<string, Answer>();
const of = (path: string, member: string): string => String(said.get(path)?.[member]);
const issuing = (): string => String(said.get('ca list')?.items?.find(({ kind }) => kind === 'issuing')?.['id']);
const first = (path: string, member: string): string => String(said.get(path)?.items?.[0]?.[member]);
const owner = ['--team', 'tests', '--sponsor', 'ada@example.com', '--purpose', 'tests'];

function file(name: string, text: string): string {
  writeFileSync(at(name), text, { mode: 0o600 });
  return at(name);
}

interface Example {
  readonly argv: () => readonly string[] | Promise<readonly string[]>;
  /** Exit code; 0 unless said otherwise. */
  readonly code?: number;
}

let csr = '';

/** Each command once, in an order in which one finds what the other made. */
const EXAMPLES: Readonly<Record<string, Example['argv'] | Example>> = {
  'agent register': () => ['planner', ...owner],
  'agent list': () => [],
  'agent show': () => ['planner'],
  // No daemon runs.
  'agent why': { argv: () => [String(process.pid), '--admin-socket', at('none')], code: 1 },
  'agent update': () => ['planner', '--purpose', 'plans'],
  'service register': () => ['books', ...owner],
  'service list': () => [],
  'service show': () => ['books'],
  'service update': () => ['books', '--purpose', 'keeps books'],
  'owner list': () => [],
  'token create': () => ['planner'],
  'token list': () => ['--agent', 'planner'],
  'token show': () => [of('token create', 'id')],
  'token revoke': () => [of('token create', 'id')],
  'attestor add': () => [
    ...['github', '--kind', 'oidc', '--set', 'issuer=https://token.actions.githubusercontent.com'],
    ...['--set', 'audience=agents.example.com', '--claim', 'repository=example/app'],
  ],
  'attestor list': () => [],
  'attestor show': () => ['github'],
  'entry create': () => ['planner', '--attestor', 'github', '--match', 'oidc:sub=repo:example/*', '--lifetime', '30m'],
  'entry list': () => ['--attestor', 'github'],
  'entry show': () => [of('entry create', 'id')],
  'entry remove': () => [of('entry create', 'id')],
  'attestor check': () => ['github', file('token.jwt', 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln')],
  'attestor remove': () => ['github'],
  enrol: () => ['--agent', 'planner', '--out', at('enrolled')],
  'instance list': () => ['planner'],
  'instance show': () => [first('instance list', 'id')],
  'stop instance': () => [first('instance list', 'id'), '--cause', 'session_replay', '--dry-run'],
  'stop parent': () => [first('instance list', 'id'), '--cause', 'task_cancelled', '--dry-run'],
  'stop agent': () => ['planner', '--cause', 'policy_change', '--dry-run'],
  'stop owner': () => ['tests', '--cause', 'owner_withdrawn', '--dry-run'],
  'stop label': () => ['tier=gold', '--cause', 'policy_change', '--quarantine'],
  'stop list': () => [],
  'stop show': () => [of('stop label', 'id')],
  // Nobody asked that it be for ever.
  'stop confirm': { argv: () => [of('stop label', 'id'), '--yes'], code: 8 },
  // Needs an approval.
  release: { argv: () => [of('stop label', 'id')], code: 6 },
  'cert issue': async () => {
    csr = file('csr', await csrFor(newKey()));
    return [first('instance list', 'id'), '--csr', csr];
  },
  'cert replace': async () => [of('cert issue', 'serial'), '--csr', file('csr-2', await csrFor(newKey()))],
  'cert list': () => [],
  'cert at': () => ['--time', 'now'],
  'stop certificate': () => [of('cert issue', 'serial'), '--cause', 'key_theft', '--dry-run'],
  'cert show': () => [of('cert replace', 'serial')],
  trace: () => [of('cert replace', 'serial'), '--receipts'],
  'cert revoke': () => [of('cert replace', 'serial'), '--cause', 'key_theft'],
  'instance stop': () => [first('instance list', 'id'), '--yes'],
  'canary list': () => [],
  'canary remove': { argv: () => ['nobody'], code: 3 },
  'federation add': () => ['partner.example', '--url', 'https://bundles.partner.example/', '--profile', 'https_web'],
  'federation list': () => [],
  'federation show': () => ['partner.example'],
  'federation replace': () => ['partner.example', '--bundle-file', file('bundle.json', '{"keys":[]}')],
  'federation refresh': { argv: () => ['partner.example'], code: 7 },
  'federation remove': () => ['partner.example', '--yes'],
  'ca rotate-jwt-key': () => ['--at-once'],
  'domain create': () => ['partners.example'],
  'domain list': () => [],
  'domain show': () => ['partners.example'],
  'domain sign': async () => ['partners.example', '--csr', file('csr-3', await csrFor(newKey()))],
  'domain rotate': () => ['partners.example'],
  'domain revoke': () => ['partners.example', of('domain sign', 'id'), '--cause', 'key_theft', '--yes'],
  'domain close': () => ['partners.example', '--yes'],
  'trust install': () => ['--dry-run', '--store', 'node'],
  'trust uninstall': () => ['--dry-run', '--store', 'node'],
  'signals list': () => [],
  'signals dead-letters': () => [],
  // There is no such stream.
  'signals retry': { argv: () => ['01jd0000000000000000000000'], code: 3 },
  // The first is made with the first stream.
  'signals rotate-key': { argv: () => [], code: 3 },
  'ledger list': () => [],
  'ledger show': () => ['1'],
  'ledger receipt': () => ['1'],
  'ledger checkpoint': () => [],
  'ledger key': () => [],
  'ledger check-receipt': async () => {
    const [receipt, keys] = [await server.cli('ledger', 'receipt', '1'), await server.cli('ledger', 'key')];
    return [file('1.tlog-proof', receipt.stdout), '--keys', file('keys', keys.stdout)];
  },
  'ca list': () => [],
  'stop authority': () => [issuing(), '--cause', 'authority_compromise', '--dry-run'],
  'ca show': () => [first('ca list', 'id')],
  'ca due': () => [],
  'ca rotate': () => [],
  'ca sign-crl': () => ['--root-key', rootKey],
  'ca sign-intermediate': () => ['--root-key', rootKey, '--dry-run'],
  'ca move-root-key': () => [at('root.key'), '--dry-run'],
  'profile list': () => [],
  'profile show': () => ['service'],
  'profile publish': () => [file('profile', JSON.stringify(said.get('profile show')))],
  'policy show': () => [],
  'policy check': () => [file('rules', of('policy show', 'text'))],
  'policy publish': () => [at('rules')],
  'operator list': () => [],
  'group list': () => [],
  'operator add': () => ['grace', '--person', 'admin', '--out', at('grace.json')],
  'group add': () => ['on-call', 'admin'],
  'group remove': () => ['on-call', 'admin'],
  'operator remove': () => ['grace'],
  'owner remove': () => ['tests', '--yes'],
  // Needs an approval, which is for others to give.
  'owner restore': {
    argv: async () => {
      await addPeople(server, ['bea', 'cleo']);
      return ['tests', '--request-approval', 'they are back'];
    },
    code: 6,
  },
  'approval list': () => [],
  'approval deliveries': () => [],
  'approval show': () => [first('approval list', 'id')],
  'break-glass list': () => [],
  'break-glass begin': {
    argv: () => ['--purpose', 'a try', '--for', '5m', '--request-approval', 'a try'],
    code: 6,
  },
  'break-glass show': { argv: () => [first('approval list', 'id')], code: 3 },
  'break-glass end': { argv: () => [first('approval list', 'id')], code: 3 },
  'break-glass review': { argv: () => [first('approval list', 'id'), '--note', 'none'], code: 3 },
  'approval approve': { argv: () => [first('approval list', 'id')], code: 5 },
  'approval deny': { argv: () => [first('approval list', 'id')], code: 5 },
  'approval withdraw': () => [first('approval list', 'id')],
  'agent retire': () => ['planner', '--yes'],
  'service retire': () => ['books', '--yes'],
  whoami: () => [],
  'passphrase change': () => [],
  backup: () => [at('backup')],
  restore: () => [at('backup'), '--data', at('restored')],
  'ledger verify': () => [],
  // The clock is right.
  'ledger accept-clock': { argv: () => [], code: 8 },
  // The server runs.
  'ledger new-log': { argv: () => [], code: 8 },
  doctor: () => [],
  status: () => [],
  init: () => ['--data', at('below'), '--csr', at('below.csr')],
  'ca request': () => [at('again.csr'), '--data', at('below')],
  // A request is no certificate.
  'ca import': { argv: () => [csr, '--data', at('below')], code: 1 },
  completion: () => ['bash'],
};

test('every command has an example here, or a reason', () => {
  const paths = commandTable().map(({ path }) => path);
  assert.deepEqual([...Object.keys(EXAMPLES), ...Object.keys(ELSEWHERE)].sort(), [...paths].sort());
});

/** What is said with `--json`: one document on stdout, or one error as the last line of stderr. */
function read({ code, stdout, stderr }: Said, path: string): Answer {
  if (stdout !== '') {
    if (code === 0) assert.doesNotMatch(stderr, /^error:/m, path);
    return JSON.parse(stdout) as Answer;
  }
  assert.notEqual(code, 0, `${path} says nothing`);
  const last = JSON.parse(stderr.trim().split('\n').at(-1)!) as { error: { code: string; message: string } };
  assert.deepEqual([typeof last.error.code, typeof last.error.message], ['string', 'string'], path);
  return last;
}

test('each says its result as one JSON document', async () => {
  for (const [path, example] of Object.entries(EXAMPLES)) {
    const { argv, code = 0 } = typeof example === 'function' ? { argv: example } : example;
    const line = [...path.split(' '), ...(await argv()), '--json'];
    const ended = await server.cli(...line);
    assert.equal(ended.code, code, `writ ${line.join(' ')}: ${ended.stderr}`);
    said.set(path, read(ended, path));
  }
});

test('each says as one JSON document what was typed wrong', async () => {
  for (const { path } of commandTable()) {
    const ended = await cli([...path.split(' '), '--json', '--no-such-flag']);
    assert.deepEqual([ended.code, ended.stdout], [2, ''], path);
    const { error } = read(ended, path) as { error?: { next?: string } };
    assert.match(error?.next ?? '', new RegExp(`writ ${path} --help`), path);
  }
});
