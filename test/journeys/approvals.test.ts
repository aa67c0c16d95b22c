/** What concerns everybody takes several people, from anywhere: with the command line, over the real server. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { isWritError } from '../../src/base/error.ts';
import type { OperatorCredential } from '../../src/cli/credential.ts';
import { Client } from '../../src/http/client.ts';
import { cli, type Said, testServer } from '../server.ts';
import { csrFor, newKey } from './clients.ts';
import { addPeople, administer, asked } from './people.ts';

const KEY = 'a secret of more than 24 octets';
const told: { readonly type: string; readonly approval: string; readonly signed: boolean }[] = [];
const receiver = createServer((request, answer) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const text = Buffer.concat(chunks).toString('utf8');
    const [id, time, signature] = ['id', 'timestamp', 'signature'].map((name) => request.headers[`webhook-${name}`]);
    const mac = createHmac('sha256', KEY).update(`${id}.${time}.${text}`).digest('base64');
    const { type, data } = JSON.parse(text) as { type: string; data: { approval: string } };
    told.push({ type, approval: data.approval, signed: signature === `v1,${mac}` });
    answer.writeHead(204).end();
  });
});
await new Promise<void>((resolve) => void receiver.listen(0, '127.0.0.1', resolve));
after(() => {
  receiver.closeAllConnections();
  receiver.close();
});

const first = await testServer({ args: ['--trust-domain', 'agents.example.com'] });
const at = (name: string): string => join(first.scratch, name);
const config = join(first.data, 'config.json');
const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`;
writeFileSync(at('hook.key'), KEY, { mode: 0o600 });
const written = JSON.parse(readFileSync(config, 'utf8')) as object;
writeFileSync(config, JSON.stringify({ ...written, webhooks: [{ url, keyFile: at('hook.key') }] }));
const server = await first.restart();

const as =
  (name: string) =>
  (...argv: string[]): Promise<Said> =>
    cli([...argv, '--json'], { operator: at(`${name}.json`), server: server.api, data: server.data });
const [bob, grace] = [as('bob'), as('grace')];

async function agreedBy(id: string, ...people: readonly ((...argv: string[]) => Promise<Said>)[]): Promise<void> {
  for (const person of people) {
    const { code, stderr } = await person('approval', 'approve', id);
    assert.equal(code, 0, stderr);
  }
}

test('three officers: the first is one from the beginning, two are made so on the server’s machine', async () => {
  await addPeople(server, ['bob', 'grace']);
  const { items } = await server.json<{ items: { name: string; members: { person: string }[] }[] }>('group', 'list');
  assert.deepEqual(
    items.map(({ name, members }) => [name, ...members.map(({ person }) => person)]),
    [
      ['ca-officers', 'admin', 'bob', 'grace'],
      ['security', 'admin'],
    ],
  );
});

test('a policy set is published with the consent of two others, once', async () => {
  const { text } = await server.json<{ text: string }>('policy', 'show');
  writeFileSync(at('rules.cedar'), `${text}// agreed\n`);
  const publish = (...how: string[]) => server.cli('policy', 'publish', at('rules.cedar'), ...how, '--json');
  const id = asked(await publish('--request-approval', 'agreed in the meeting'));
  assert.equal(asked(await publish('--request-approval', 'once more')), id, 'the same request');

  const shown = await bob('approval', 'show', id);
  const { parameters, reason } = JSON.parse(shown.stdout) as { parameters: string; reason: string };
  assert.equal(reason, 'agreed in the meeting');
  assert.deepEqual(JSON.parse(parameters), {
    ...{ method: 'PUT', path: '/v1/policy', params: {}, query: {} },
    body: { text: readFileSync(at('rules.cedar'), 'utf8') },
  });
  const plain = await cli(['approval', 'show', id], { operator: at('bob.json'), server: server.api });
  assert.ok(plain.stdout.includes('// agreed\n') || plain.stdout.endsWith('// agreed'), 'the whole text is shown');

  assert.equal((await server.cli('approval', 'approve', id, '--json')).code, 5, 'not by who asked');
  assert.equal((await publish('--approval', id)).code, 6, 'not before');
  await agreedBy(id, bob, grace);
  const published = await publish('--approval', id);
  assert.equal(published.code, 0, published.stderr);
  assert.equal((JSON.parse(published.stdout) as { version: number }).version, 2);
  writeFileSync(at('rules.cedar'), `${text}// another\n`);
  assert.equal((await publish('--approval', id)).code, 6, 'not for another text, and not twice');

  const { items } = await server.json<{ items: { type: string; body: { approval?: string } }[] }>(
    ...['ledger', 'list', '--subject', `approval:${id}`],
  );
  assert.deepEqual(
    items.map(({ type }) => type),
    ['approval.requested', 'approval.decided', 'approval.decided', 'approval.granted', 'approval.used'],
  );
});

const EVIDENCE = 'https://hr.example.com/leaves/7';

test('operators and groups change by approval, too', async () => {
  const joins = (...how: string[]) => bob('group', 'add', 'security', 'bob', ...how);
  const id = asked(await joins('--request-approval', 'on call'));
  const admin = (...argv: string[]): Promise<Said> => server.cli(...argv, '--json');
  await agreedBy(id, grace, admin);
  assert.equal((await joins('--approval', id)).code, 0);

  const removes = (...how: string[]) => admin('operator', 'remove', 'bob', '--evidence', EVIDENCE, ...how);
  const removal = asked(await removes('--request-approval', 'has left', '--approval-lifetime', '5m'));
  await agreedBy(removal, grace);
  assert.equal((await bob('approval', 'deny', removal)).code, 0, 'one who disagrees ends it');
  assert.equal((await removes('--approval', removal)).code, 6);
  const again = asked(await removes('--request-approval', 'has left'));
  await agreedBy(again, grace, bob);
  const removed = await removes('--approval', again);
  assert.equal(removed.code, 0, removed.stderr);
  assert.notEqual((await bob('whoami')).code, 0);
  const { items } = await server.json<{ items: { type: string; body: { evidence?: string } }[] }>(
    ...['ledger', 'list', '--subject', 'operator:bob'],
  );
  assert.equal(items.find(({ type }) => type === 'operator.removed')?.body.evidence, EVIDENCE);
});

test('an operator who made the key themselves is added over REST, and AuthZEN reads the approval', async () => {
  const { key, chain, roots } = JSON.parse(readFileSync(server.operator, 'utf8')) as OperatorCredential;
  const client = new Client({
    ...{ server: server.api, roots, credential: { key, chain: chain.join('') } },
    checkServer: () => undefined,
  });
  const body = { name: 'linus', csr: await csrFor(newKey()) };
  const add = (headers: Readonly<Record<string, string>>) =>
    client.json<{ spiffe_id: string }>({ method: 'POST', path: '/v1/operators', body, headers });
  const asks = () =>
    add({ 'Writ-Request-Approval': 'reason=joins%20us&lifetime=600' }).catch((error: unknown) => error);
  const inVain = await asks();
  assert.ok(isWritError(inVain, 'needs_approval') && inVain.approval?.id === undefined, String(inVain));
  assert.match(inVain.message, /needs 2 of ca-officers to agree, and there is 1 beside whoever asks\.$/);
  // Two of three officers are left, and one of them asks: a third joins on the server's machine.
  for (const argv of [
    ['operator', 'add', 'dennis', '--out', at('dennis.json')],
    ['group', 'add', 'ca-officers', 'dennis'],
  ]) {
    assert.equal((await administer(server, argv, [server.operator, at('grace.json')])).code, 0);
  }
  const refused = await asks();
  assert.ok(isWritError(refused, 'needs_approval') && refused.approval?.id !== undefined, String(refused));
  const { id } = refused.approval;
  const task = () =>
    client.json<{ task: { status: string; status_endpoint: string }; result?: { mode: string } }>({
      path: `/access/v1/requests/${id}`,
    });
  assert.deepEqual([(await task()).task.status, (await task()).result], ['pending', undefined]);
  await agreedBy(id!, grace, as('dennis'));
  const approved = await task();
  assert.deepEqual([approved.task.status, approved.result?.mode], ['approved', 'reevaluate']);
  assert.match(approved.task.status_endpoint, /^https:\/\/.*\/access\/v1\/requests\//);
  await assert.rejects(add({ 'Writ-Approval': id!, 'Writ-Request-Approval': 'reason=x' }), (e) =>
    isWritError(e, 'bad_request'),
  );
  const added = await add({ 'Writ-Approval': id! });
  assert.equal(added.spiffe_id, 'spiffe://agents.example.com/operator/linus');
  const rotate = (headers: Readonly<Record<string, string>>) =>
    client.json<{ kind: string }>({
      method: 'POST',
      path: '/v1/authorities/rotate',
      body: {},
      headers,
    });
  const due = await rotate({ 'Writ-Request-Approval': 'reason=yearly' }).catch((error: unknown) => error);
  assert.ok(isWritError(due, 'needs_approval') && due.approval?.id !== undefined, String(due));
  await agreedBy(due.approval.id, grace, as('dennis'));
  assert.equal((await rotate({ 'Writ-Approval': due.approval.id })).kind, 'issuing');
  await assert.rejects(rotate({ 'Writ-Approval': due.approval.id }), (e) => isWritError(e, 'needs_approval'));
  client.close();
});

test('a quarantine is lifted by approval', async () => {
  await server.json(
    'agent',
    'register',
    'planner',
    '--team',
    'tests',
    '--sponsor',
    'ada@example.com',
    '--purpose',
    'tests',
  );
  const { id: stop } = await server.json<{ id: string }>(
    ...['stop', 'agent', 'planner', '--quarantine', '--cause', 'session_replay', '--yes'],
  );
  const release = (...how: string[]) => server.cli('release', stop, ...how, '--json');
  assert.equal((await release()).code, 6);
  const id = asked(await release('--request-approval', 'looked into it'));
  await agreedBy(id, grace, as('dennis'));
  const released = await release('--approval', id);
  assert.equal(released.code, 0, released.stderr);
  const { items } = await server.json<{ items: { type: string; body: { approval?: string } }[] }>(
    ...['ledger', 'list', '--subject', 'agent:planner'],
  );
  assert.equal(items.find(({ type }) => type === 'agent.released')?.body.approval, id, JSON.stringify(items));
});

test('the webhook was told of all of it, signed; nothing is left over', async () => {
  for (let tries = 0; tries < 50; tries++) {
    const { items } = await server.json<{ items: { state: string }[] }>('approval', 'deliveries', '--state', 'waiting');
    if (items.length === 0) break;
    await new Promise((resolve) => void setTimeout(resolve, 200));
  }
  assert.ok(told.length > 10 && told.every(({ signed }) => signed));
  const kinds = new Set(told.map(({ type }) => type));
  for (const kind of ['requested', 'decided', 'granted', 'denied', 'used'])
    assert.ok(kinds.has(`approval.${kind}`), kind);
  const { items } = await server.json<{ items: unknown[] }>('approval', 'deliveries', '--state', 'dead');
  assert.deepEqual(items, []);
});
