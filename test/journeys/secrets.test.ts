/** Secrets that would be recognised anywhere go through a whole journey, with its failures, and are nowhere found. */
import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, type KeyObject, randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { connect as connectPlain } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { inspect } from 'node:util';
import type { OperatorCredential } from '../../src/cli/credential.ts';
import { openSqlite } from '../../src/db/sqlite.ts';
import { encodePem } from '../../src/der/pem.ts';
import { openKey, openKeyring } from '../../src/keys/keyring.ts';
import { localSigner } from '../../src/keys/local.ts';
import { readPassphrase } from '../../src/keys/passphrase-source.ts';
import { connect } from '../../src/sdk/enrolment/connect.ts';
import { formatJoinToken, parseJoinToken } from '../../src/wire/join-token.ts';
import { encodeCsr } from '../../src/x509/csr.ts';
import { encodeName } from '../../src/x509/name.ts';
import { type RunningServer, startServer, writ } from '../program.ts';
import { failureOf, scratchDirectory } from './authority.ts';
import { type Canary, canaryOf, filesBelow, sightings, type Written } from './canary.ts';
import { newKey } from './clients.ts';

const scratch = scratchDirectory();
const at = (...names: readonly string[]): string => join(scratch, ...names);
const data = at('writ-data');

const canaries: Canary[] = [];
const written: Written[] = [];

/** A text with all that encodings treat in ways of their own. */
function plant(name: string): string {
  const text = `Canary/${name} +"${randomBytes(12).toString('base64')}"`;
  canaries.push(canaryOf(name, text));
  return text;
}

function secretFile(name: string, text: string): string {
  writeFileSync(at(name), text, { mode: 0o600 });
  return at(name);
}

/** The part of a key that only its owner has. */
function privatePart(key: KeyObject): Buffer {
  const { d, priv } = key.export({ format: 'jwk' }) as { d?: string; priv?: string };
  return Buffer.from((d ?? priv)!, 'base64url');
}

function keep(where: string, what: string | Buffer): void {
  written.push({ where, what: Buffer.from(what) });
}

/** Runs a command line and keeps what it says, but for secrets that it is there to say. Without a code it has to fail. */
async function said(code: number | undefined, ...argv: readonly string[]): Promise<string> {
  const environment = {
    ...{ WRIT_DEBUG: '1', WRIT_OPERATOR: at('writ-data-operator'), WRIT_SERVER: server.api, WRIT_DATA: data },
    ...{ WRIT_PASSPHRASE_FILE: at('passphrase'), XDG_RUNTIME_DIR: at('runtime') },
  };
  const ended = await writ(argv, { cwd: scratch, environment });
  const where = `writ ${argv.join(' ')}`;
  keep(`stderr of ${where}`, ended.stderr);
  if (code === undefined) assert.notEqual(ended.code, 0, where);
  else assert.equal(ended.code, code, `${where}: ${ended.stderr}`);
  if (!SAYS_SECRETS.test(where)) keep(`stdout of ${where}`, ended.stdout);
  return ended.stdout;
}
const SAYS_SECRETS = /^writ token create/;

interface Asked {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  readonly credential?: OperatorCredential;
}

/** Sends anything, and keeps the whole answer. */
async function ask(base: string, { method = 'GET', path, headers = {}, body, credential }: Asked): Promise<string> {
  const { hostname, port } = new URL(base);
  const tls = credential === undefined ? {} : { key: credential.key, cert: credential.chain.join('') };
  const sent = request({ ...tls, hostname, port, method, path, headers, rejectUnauthorized: false, agent: false });
  sent.end(body);
  const [answer] = (await once(sent, 'response')) as [
    AsyncIterable<Buffer> & { rawHeaders: string[]; statusCode: number },
  ];
  const parts: Buffer[] = [];
  for await (const part of answer) parts.push(part);
  const text = Buffer.concat(parts).toString('latin1');
  keep(`answer to ${method} ${path.slice(0, 40)} at ${base}`, `${answer.rawHeaders.join('\n')}\n${text}`);
  return `${answer.statusCode} ${text}`;
}

/** Sends octets that are no request, and keeps what comes back. */
async function babble(base: string, octets: string): Promise<void> {
  const { protocol, hostname: host, port } = new URL(base);
  const socket =
    protocol === 'https:'
      ? connectTls({ host, port: Number(port), rejectUnauthorized: false })
      : connectPlain({ host, port: Number(port) });
  socket.on('error', () => undefined);
  socket.end(octets);
  const parts: Buffer[] = [];
  socket.on('data', (part: Buffer) => parts.push(part));
  await once(socket, 'close');
  keep(`answer to babble at ${base}`, Buffer.concat(parts));
}

/** One that has to do without blanks and signs. */
function plantPlain(name: string): string {
  const text = `${name}-${randomBytes(24).toString('hex')}`;
  canaries.push(canaryOf(name, text));
  return text;
}

const passphrase = secretFile('passphrase', plant('passphrase'));
const config = at('config.json');
const signalBearer = plantPlain('bearer-of-a-transmitter');
const theirs = createPublicKey(newKey()).export({ format: 'jwk' });
const NOBODY = 'http://127.0.0.1:9/';
writeFileSync(
  config,
  JSON.stringify({
    ...{ trustDomain: 'agents.example.com', anchor: at('anchor'), logLevel: 'debug' },
    webhooks: [{ url: NOBODY, keyFile: secretFile('webhook-key', plantPlain('key-of-a-webhook')) }],
    signals: {
      issuer: 'https://writ.agents.example.com',
      receivers: { allowHttp: true, allowNetworks: ['127.0.0.0/8'] },
      trusted: [
        {
          ...{ issuer: 'https://risk.example.com', audience: 'urn:writ' },
          jwksFile: secretFile('their.jwks', JSON.stringify({ keys: [{ ...theirs, kid: 'k' }] })),
          tokenFile: secretFile('signal-token', signalBearer),
        },
      ],
    },
  }),
);
const server: RunningServer = await startServer(data, { args: ['--config', config, '--passphrase-file', passphrase] });
const operatorFile = at('writ-data-operator', 'operator.json');
const operator = JSON.parse(readFileSync(operatorFile, 'utf8')) as OperatorCredential;
canaries.push(canaryOf('operator key', privatePart(createPrivateKey(operator.key))));
mkdirSync(at('runtime'), { mode: 0o700 });

const tokens: string[] = [];
/** A join token, which from now on is looked for. */
async function tokenOf(...flags: readonly string[]): Promise<string> {
  const stdout = await said(0, 'token', 'create', 'planner', ...flags);
  const [token] = /writ-join-1-[\w-]+/.exec(stdout)!;
  canaries.push(canaryOf('secret of a join token', parseJoinToken(token).secret), canaryOf('join token', token));
  tokens.push(token);
  return token;
}

test('the search finds what is there, in every guise', () => {
  const secret = randomBytes(32);
  const text = 'a secret/with +"signs"';
  for (const [one, guises] of [
    [canaryOf('octets', secret), 12],
    [canaryOf('text', text), 17],
  ] as const) {
    assert.equal(one.needles.length, guises);
    for (const { guise, octets } of one.needles) {
      const what = Buffer.concat([randomBytes(5), octets, randomBytes(5)]);
      assert.equal(sightings([one], [{ where: guise, what }]).length, 1);
    }
  }
  const key = newKey();
  const pem = key.export({ type: 'pkcs8', format: 'pem' }) as string;
  const own = [canaryOf('key', privatePart(key))];
  for (const what of [pem, JSON.stringify(pem)]) {
    assert.equal(sightings(own, [{ where: 'PEM', what: Buffer.from(what) }]).length, 1);
  }
  assert.deepEqual(sightings(own, [{ where: 'noise', what: randomBytes(1 << 20) }]), []);
  // What was planted is where it may be.
  const may = [operatorFile, passphrase].map((where) => ({ where, what: readFileSync(where) }));
  assert.equal(sightings(canaries, may).length, 2);
});

test('an instance lives its life, by the command line and by the library', async () => {
  await said(0, 'agent', 'register', 'planner', '--team', 'a', '--sponsor', 'a@example.com', '--purpose', 'plans');
  const [first, second, third] = [await tokenOf('--json'), await tokenOf(), await tokenOf('--uses', '2', '--json')];
  const store = at('store');
  const identity = await connect({ token: first, store });
  const partOf = (): Buffer => privatePart(identity.credential.key);
  canaries.push(canaryOf('first key of an instance', partOf()));
  await identity.renew();
  canaries.push(canaryOf('second key of an instance', partOf()));
  keep('the identity', `${inspect(identity, { depth: 9, showHidden: true })} ${JSON.stringify(identity)}`);
  const { serial, spiffeId } = { serial: identity.credential.serial, spiffeId: identity.spiffeId };

  const spent = await failureOf(connect({ token: first }));
  const cut = await failureOf(connect({ token: second.slice(0, -3) }));
  for (const error of [spent, cut]) keep('an error of the library', inspect(error, { depth: 9 }));
  const file = join(store, 'identity.json');
  const whole = readFileSync(file, 'utf8');
  assert.equal(sightings(canaries, [{ where: file, what: Buffer.from(whole) }]).length, 1, 'where it is kept it is');
  for (const broken of [whole.replace('PRIVATE KEY-----\\n', 'PRIVATE KEY-----\n'), whole.slice(0, -9)]) {
    writeFileSync(file, broken);
    const error = await failureOf(connect({ store }));
    keep('an error about the store', inspect(error, { depth: 9 }));
    assert.doesNotMatch(inspect(error), new RegExp(`${PEM_HEAD}|BEGIN`), 'not even its first characters');
  }

  const tokenFile = secretFile('token', second);
  await said(0, 'enrol', '--token-file', tokenFile, '--out', at('enrolled'), '--json');
  const [keyFile] = readdirSync(at('enrolled')).filter((name) => name.includes('key')) as [string];
  canaries.push(canaryOf('enrolled key', privatePart(createPrivateKey(readFileSync(at('enrolled', keyFile))))));
  const run = ['run', '--token-file', secretFile('token-of-two', third), '--'];
  await said(0, ...run, 'env');
  await said(7, ...run, 'sh', '-c', 'exit 7');
  assert.deepEqual(readdirSync(at('runtime')), [], 'what lay in files for the program is gone');

  for (const argv of [
    ['token', 'list', '--json'],
    ['instance', 'list', 'planner', '--json'],
    ['cert', 'list', '--json'],
    ['trace', serial, '--receipts', '--json'],
    ['ledger', 'list', '--json'],
    ['operator', 'list'],
    ['doctor', '--json'],
    ['status', '--json'],
    ['ca', 'due', '--json'],
    ['operator', 'add', 'ada', '--out', at('ada.json'), '--json'],
    ['cert', 'revoke', serial, '--cause', 'key_theft', '--json'],
  ]) {
    await said(0, ...argv);
  }
  const { key } = JSON.parse(readFileSync(at('ada.json'), 'utf8')) as OperatorCredential;
  canaries.push(canaryOf('key of a second operator', privatePart(createPrivateKey(key))));
  keep('the error after a revocation', inspect(await failureOf(identity.renew()), { depth: 9 }));
  assert.match(spiffeId, /planner/);
  identity.close();
});

const PEM_HEAD = 'MIGHAgEA';

test('commands that fail say nothing of what they were given', async () => {
  const broken = secretFile('broken.json', readFileSync(operatorFile, 'utf8').replace('"chain"', 'chain'));
  const wrong = secretFile('wrong', plant('wrong passphrase'));
  const [cut, spent] = [secretFile('cut', tokens[1]!.slice(0, -2)), at('token')];
  for (const json of [[], ['--json']]) {
    for (const argv of [
      ['enrol', '--token-file', cut, '--out', at('no')],
      ['enrol', '--token-file', spent, '--out', at('no')],
      ['whoami', '--operator', broken],
      ['whoami', '--operator', spent],
      ['ca', 'due', '--passphrase-file', wrong],
      ['ca', 'due', '--passphrase-file', secretFile('short', plant('x').slice(0, 9))],
      // A secret where something else belongs.
      ['ca', 'import', operatorFile],
      ['policy', 'check', operatorFile],
      ['profile', 'publish', operatorFile],
      ['ledger', 'check-receipt', operatorFile, '--keys', wrong],
      ['cert', 'issue', 'nobody', '--csr', operatorFile],
    ]) {
      await said(undefined, ...argv, ...json);
    }
  }
});

test('requests that are refused get nothing back of what they said', async () => {
  const authorization = plant('authorization');
  const headers = {
    authorization: `Bearer ${authorization}`,
    cookie: `session=${plant('cookie')}`,
    'proxy-authorization': plant('proxy'),
    'x-api-key': plant('api key'),
    'x-forwarded-client-cert': plant('forwarded'),
  };
  const signer = localSigner(newKey());
  const csr = await encodeCsr({
    spki: signer.spki,
    algorithm: signer.algorithm,
    subject: encodeName([['CN', plant('subject of a request')]]),
    sign: async (message) => (await signer.sign([message]))[0]!,
  });
  const [field, value] = [plant('field'), plant('value')];
  const pem = encodePem('CERTIFICATE REQUEST', csr);
  const forged = formatJoinToken({ ...parseJoinToken(tokens[2]!), secret: randomBytes(20) });
  canaries.push(canaryOf('forged token', forged));
  const bodies = [
    JSON.stringify({ token: forged, csr: pem }),
    JSON.stringify({ token: value, csr: pem }),
    JSON.stringify({ token: tokens[0], csr: value }),
    JSON.stringify({ token: tokens[0], csr: encodePem('CERTIFICATE REQUEST', Buffer.from(value)) }),
    JSON.stringify({ token: tokens[0], csr: pem, password: value }),
    JSON.stringify({ [field]: value }),
    `{"token": "${tokens[0]}", "csr": ${value}`,
    value,
  ];
  const type = { 'content-type': 'application/json' };
  for (const base of [server.api, server.open]) {
    for (const body of bodies) {
      const asked = { method: 'POST', path: '/v1/enrol', body, headers: { ...headers, ...type } } as const;
      assert.match(await ask(base, asked), /^4\d\d /);
    }
    for (const path of [`/v1/${encodeURIComponent(value)}`, `/v1/trust?key=${encodeURIComponent(value)}`]) {
      assert.match(await ask(base, { path, headers }), /^4\d\d /);
    }
    await ask(base, { path: '/v1/trust', headers });
    await babble(base, `GET / HTTP/1.1\r\nAuthorization: ${authorization}\r\n\u0000${value}: x\r\n\r\n`);
  }
  await babble(server.plain, `GET / HTTP/1.1\r\nAuthorization: ${authorization}\r\n\u0000${value}: x\r\n\r\n`);
  await babble(server.api.replace('https', 'http'), `GET /${value} HTTP/1.1\r\n\r\n`);

  const own = { credential: operator, headers: { ...headers, ...type, 'idempotency-key': randomUUID() } };
  for (const body of bodies) {
    assert.match(await ask(server.api, { ...own, method: 'POST', path: '/v1/tokens', body }), /^4\d\d /);
  }
  assert.match(await ask(server.api, { ...own, path: `/v1/agents?label=${encodeURIComponent(value)}` }), /^400 /);
  for (const path of ['/metrics', '/v1/openapi.json', '/v1/ledger/entries?limit=200', '/v1/tokens', '/v1/operators']) {
    assert.match(await ask(server.api, { ...own, path }), /^200 /);
  }
  await ask(server.api, { path: '/metrics', headers });
});

test('what signals and webhooks are shown with goes into no answer and no log', async () => {
  const type = { 'content-type': 'application/json' };
  const own = { credential: operator, method: 'POST' } as const;
  const manage = (body: object, key: string = randomUUID()): Promise<string> =>
    ask(server.api, {
      ...own,
      ...{ path: '/v1/signals/streams', headers: { ...type, 'idempotency-key': key } },
      body: JSON.stringify(body),
    });
  const delivery = (authorization: string) => ({
    ...{ method: 'urn:ietf:rfc:8935', endpoint_url: NOBODY, authorization_header: `Bearer ${authorization}` },
  });
  const stream = { delivery: delivery(plantPlain('authorization-of-a-receiver')), description: 'nobody takes it' };
  const key = randomUUID();
  assert.match(await manage(stream, key), /^201 /);
  await manage(stream, key);
  await manage({ ...stream, description: 'another body under the same key' }, key);
  const refused = delivery(plantPlain('authorization-that-is-refused'));
  assert.match(await manage({ delivery: { ...refused, endpoint_url: 'http://192.0.2.1/' } }), /^400 /);
  assert.match(await manage({ delivery: refused, colour: 1 }), /^400 /);
  assert.match(
    await manage({ delivery: { ...refused, authorization_header: `${refused.authorization_header}\n` } }),
    /^4/,
  );
  for (const bearer of [signalBearer, plantPlain('bearer-of-nobody')]) {
    const headers = { 'content-type': 'application/secevent+jwt', authorization: `Bearer ${bearer}` };
    for (const body of ['e30.e30.e30', plantPlain('a-signal')]) {
      const told = { method: 'POST', path: '/v1/signals', headers, body } as const;
      assert.match(await ask(server.api, told), /^4\d\d /);
    }
  }
  // One is told of a stop, and one of a request for approval, in vain.
  await said(0, 'agent', 'register', 'doomed', '--team', 'a', '--sponsor', 'a@example.com', '--purpose', 'ends');
  await said(0, 'enrol', '--agent', 'doomed', '--out', at('doomed'));
  await said(0, 'stop', 'agent', 'doomed', '--cause', 'decommissioned', '--json');
  await said(
    6,
    'operator',
    'add',
    'eve',
    '--out',
    at('eve.json'),
    '--here',
    '--request-approval',
    'holidays',
    '--json',
  );
  const deliveries = async (): Promise<string> => said(0, 'approval', 'deliveries', '--json');
  for (let waited = 0; !/"attempts": ?[1-9]/.test(await deliveries()); waited++) {
    assert.ok(waited < 50, 'a webhook was tried');
    await pause(200);
  }
  for (const argv of [
    ['signals', 'list'],
    ['signals', 'dead-letters'],
    ['approval', 'list'],
    ['stop', 'list'],
  ]) {
    await said(0, ...argv, '--json');
  }
  const held = { credential: operator, path: '/v1/signals/streams' };
  assert.match(await ask(server.api, held), /^200 .*nobody takes it/);
});

test('nowhere is anything of it found: not in what was said, logged, answered, recorded or backed up', async () => {
  const old = at('old-passphrase');
  copyFileSync(passphrase, old);
  await said(0, 'backup', at('backup'), '--json');
  await said(0, 'restore', at('backup'), '--data', at('restored'), '--json');
  const fresh = secretFile('fresh', plant('second passphrase'));
  await said(0, 'passphrase', 'change', '--new-passphrase-file', fresh, '--json');
  await said(1, 'ca', 'due', '--passphrase-file', old);
  keep('the arguments of the server', readFileSync(`/proc/${server.pid}/cmdline`));
  const { code, stdout, stderr } = await server.stop();
  assert.equal(code, 0, stderr);
  assert.match(stderr, /"level":"debug"|"level":"info"/, 'it logged what there is to log');
  keep('stdout of the server', stdout);
  keep('log of the server', stderr);
  await said(0, 'ledger', 'verify', '--json');

  const database = openSqlite({ path: join(data, 'writ.db'), readOnly: true });
  const keyring = await openKeyring(database, await readPassphrase({ kind: 'file', path: fresh }, {}));
  for (const { id, purpose } of await database.all('SELECT id, purpose FROM sealed_key')) {
    const name = { id: String(id), purpose: String(purpose) };
    canaries.push(canaryOf(`key of ${purpose} ${id}`, privatePart(await openKey(database, keyring, name))));
  }
  await database.close();

  const files = [data, at('anchor'), at('backup'), at('restored')].flatMap(filesBelow);
  const much = [files.length >= 7, written.length > 120, canaries.length > 25];
  assert.deepEqual(much, [true, true, true], `${files.length} ${written.length} ${canaries.length}`);
  assert.deepEqual(sightings(canaries, [...written, ...files]), []);
});
