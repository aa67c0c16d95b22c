/** What several people do together, with the command line and over the real server: emergency access, AuthZEN, the rest. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, test } from 'node:test';
import { isWritError } from '../../src/base/error.ts';
import type { OperatorCredential } from '../../src/cli/credential.ts';
import { Client } from '../../src/http/client.ts';
import { cli, type Said, testServer } from '../server.ts';
import { addPeople, administer, asked } from './people.ts';

const server = await testServer({ args: ['--trust-domain', 'agents.example.com'] });
const at = (name: string): string => join(server.scratch, name);
await addPeople(server, ['bob', 'grace']);
const people = [server.operator, at('bob.json')];
assert.equal((await administer(server, ['operator', 'add', 'dave', '--out', at('dave.json')], people)).code, 0);

const as =
  (name: string) =>
  (...argv: string[]): Promise<Said> =>
    cli([...argv, '--json'], { operator: at(`${name}.json`), server: server.api, data: server.data });
const [bob, grace, dave] = [as('bob'), as('grace'), as('dave')];
const admin = (...argv: string[]): Promise<Said> => server.cli(...argv, '--json');

function clientOf(file: string): Client {
  const { key, chain, roots } = JSON.parse(readFileSync(file, 'utf8')) as OperatorCredential;
  const credential = { key, chain: chain.join('') };
  const client = new Client({ server: server.api, roots, credential, checkServer: () => undefined });
  after(() => client.close());
  return client;
}

async function agreedBy(id: string, ...who: readonly ((...argv: string[]) => Promise<Said>)[]): Promise<void> {
  for (const one of who) assert.equal((await one('approval', 'approve', id)).code, 0);
}

async function held(): Promise<string> {
  const made = await server.json<{ id: string }>(
    ...['stop', 'label', 'tier=gold', '--quarantine', '--cause', 'policy_change', '--yes'],
  );
  return made.id;
}

test('an operator is added and the authority rotated over the network, by approval', async () => {
  const add = (...how: string[]) => admin('operator', 'add', 'linus', '--out', at('linus.json'), ...how);
  assert.match((await add()).stderr, /--here --request-approval/, 'not with the passphrase alone');
  const id = asked(await add('--request-approval', 'joins us'));
  assert.equal(statSync(at('linus.json.asked')).mode & 0o777, 0o600);
  await agreedBy(id, bob, grace);
  const added = await add('--approval', id);
  assert.equal(added.code, 0, added.stderr);
  assert.ok(!existsSync(at('linus.json.asked')));
  assert.equal((await as('linus')('whoami')).code, 0);

  const rotate = (...how: string[]) => admin('ca', 'rotate', ...how);
  const due = asked(await rotate('--request-approval', 'yearly'));
  await agreedBy(due, bob, grace);
  const rotated = await rotate('--approval', due);
  assert.equal(rotated.code, 0, rotated.stderr);
  assert.equal((await rotate('--approval', due)).code, 6);
});

test('a quarantine is lifted on the server’s machine when two agree', async () => {
  const stop = await held();
  const lifted = await administer(server, ['release', stop, '--here'], people);
  assert.equal(lifted.code, 0, lifted.stderr);
  assert.equal((JSON.parse(lifted.stdout) as { state: string }).state, 'released');
});

test('emergency access: asked, granted, used, ended, reviewed', async () => {
  const stop = await held();
  assert.equal((await dave('release', stop)).code, 6);
  const begin = (...how: string[]) =>
    dave('break-glass', 'begin', '--purpose', 'held by mistake', '--for', '10m', ...how);
  assert.equal((await dave('break-glass', 'begin', '--purpose', 'x', '--for', '31m')).code, 2, 'half an hour at most');
  const id = asked(await begin('--request-approval', 'customers wait'));
  assert.equal((await dave('approval', 'approve', id)).code, 5, 'not by who asks');
  await agreedBy(id, bob);
  assert.equal((await begin('--approval', id)).code, 6, 'not by one');
  await agreedBy(id, grace);
  const begun = await begin('--approval', id);
  assert.equal(begun.code, 0, begun.stderr);
  const { id: emergency, people: granted } = JSON.parse(begun.stdout) as { id: string; people: string[] };
  assert.deepEqual(granted, ['bob', 'grace']);
  assert.equal((await dave('release', stop)).code, 0);
  assert.equal(
    (await dave('group', 'add', 'security', 'dave', '--request-approval', 'x')).code,
    6,
    'nothing that outlasts it',
  );
  assert.equal((await bob('break-glass', 'review', emergency, '--note', 'x')).code, 5, 'not while it lasts');
  assert.equal((await dave('break-glass', 'end', emergency)).code, 0);
  assert.equal((await dave('release', await held())).code, 6, 'it is over');

  const metrics = async () => (await clientOf(server.operator).send({ path: '/metrics' })).body.toString('utf8');
  assert.match(await metrics(), /^writ_reviews_open 1$/m);
  assert.match((await cli(['approval', 'list'], { operator: at('bob.json'), server: server.api })).stderr, /review: 1/);
  assert.match((await server.cli('doctor')).stdout, /WARN +reviews +.*1 over and not reviewed/);
  assert.equal((await dave('break-glass', 'review', emergency, '--note', 'all good')).code, 5, 'not their own');
  const reviewed = await bob('break-glass', 'review', emergency, '--note', 'lifted one hold');
  assert.equal(reviewed.code, 0, reviewed.stderr);
  assert.match(await metrics(), /^writ_reviews_open 0$/m);
  const { items } = await server.json<{ items: { type: string }[] }>(
    ...['ledger', 'list', '--subject', `emergency:${emergency}`],
  );
  assert.deepEqual(
    items.map(({ type }) => type),
    ['emergency.begun', 'emergency.ended', 'emergency.reviewed'],
  );
});

interface Problem {
  readonly type: string;
  readonly status: number;
  readonly decision?: boolean;
  readonly context?: { readonly access_request?: Record<string, string> } & Record<string, unknown>;
  readonly subject?: object;
  readonly resource?: object;
  readonly action?: object;
}

test('a refusal of AuthZEN is submitted, decided and made good', async () => {
  const ada = clientOf(server.operator);
  type Answer = Problem & { task?: Record<string, string> };
  const send = async (file: string, path: string, body: object, headers: Record<string, string> = {}) => {
    const { key, chain, roots } = JSON.parse(readFileSync(file, 'utf8')) as OperatorCredential;
    const tls = { key, cert: chain.join(''), ca: [...roots], rejectUnauthorized: false };
    const asking = httpsRequest(new URL(path, server.api), {
      ...{ method: 'POST', agent: false, headers: { 'content-type': 'application/json', ...headers } },
      ...tls,
    });
    asking.end(JSON.stringify(body));
    const [answer] = (await once(asking, 'response')) as [IncomingMessage];
    return { status: answer.statusCode, answer: JSON.parse(await text(answer)) as Answer };
  };
  const metadata = await ada.json<Record<string, unknown>>({ path: '/.well-known/authzen-configuration' });
  assert.deepEqual(metadata['capabilities'], ['urn:openid:authzen:capability:access-request']);
  assert.equal(metadata['access_request_endpoint'], `${String(metadata['policy_decision_point'])}/access/v1/requests`);

  const rotate = (headers: Record<string, string>) => send(server.operator, '/v1/authorities/rotate', {}, headers);
  assert.equal((await rotate({})).answer.decision, undefined, 'for those alone who prefer it');
  const { status, answer } = await rotate({ prefer: 'access-request' });
  assert.deepEqual([status, answer.decision], [403, false]);
  const { access_request: request, evaluation_id } = answer.context!;
  assert.equal(request!['endpoint'], metadata['access_request_endpoint']);
  const submission = {
    ...{ subject: answer.subject, resource: answer.resource, action: answer.action },
    context: { business_justification: 'exercise' },
    denial: { evaluation_id, expires_at: request!['expires_at'], binding_token: request!['binding_token'] },
  };
  const key = { 'idempotency-key': '7b8d0f0d-65a1-4af1-9fd3-a684f08a5d13' };
  const submit = (file: string, body: object = submission, headers = key) =>
    send(file, '/access/v1/requests', body, headers);
  const said = async (asking: ReturnType<typeof submit>): Promise<[number | undefined, string]> => {
    const { status: code, answer: problem } = await asking;
    return [code, problem.type.replace('urn:openid:authzen:access-request:error:', '')];
  };
  assert.deepEqual(await said(submit(at('dave.json'))), [400, 'invalid_denial_binding']);
  const first = await submit(server.operator);
  assert.deepEqual([first.status, first.answer.task?.['status']], [202, 'pending']);
  const { id, status_endpoint: endpoint } = first.answer.task!;
  assert.equal((await submit(server.operator)).answer.task?.['id'], id);
  const other = { ...submission, context: { business_justification: 'another' } };
  assert.deepEqual(await said(submit(server.operator, other)), [409, 'duplicate_request']);

  const path = new URL(endpoint!).pathname;
  const decide = (file: string) => send(file, `${path}/decision`, { decision: 'approved' });
  assert.equal((await decide(server.operator)).status, 403, 'never who asked');
  for (const name of ['bob', 'grace']) assert.equal((await decide(at(`${name}.json`))).status, 200);
  const { task, result } = await ada.json<{ task: { status: string }; result: { approval: { id: string } } }>({ path });
  assert.equal(task.status, 'approved');
  assert.equal((await rotate({ 'writ-approval': result.approval.id })).status, 200, 'the same approval as any other');
  assert.deepEqual(await said(send(server.operator, `${path}/cancel`, {})), [409, 'invalid_task_state']);
  assert.deepEqual(await said(send(server.operator, '/access/v1/requests/01kaj8x5y7zq4m2n6p8r0t2v4w/cancel', {})), [
    404,
    'unknown_task',
  ]);
});

test('whoever would come back without consent is shown to all, and any operator stops it', async () => {
  const comes = (...how: string[]) =>
    admin('operator', 'add', 'eve', '--out', at('eve.json'), '--here', ...how, '--json');
  const id = asked(await comes('--request-approval', 'all laptops are lost', '--recover'));
  const shown = await cli(['approval', 'show', id], { operator: at('dave.json'), server: server.api });
  assert.match(shown.stdout, /^takes effect +\S+Z, without consent, unless an operator denies it$/m);
  assert.equal((await comes('--approval', id)).code, 6, 'not before three days');
  assert.equal((await dave('approval', 'approve', id)).code, 5, 'he is no officer');
  assert.equal((await dave('approval', 'deny', id)).code, 0);
  assert.equal((await comes('--approval', id)).code, 6);
  assert.equal((await admin('ca', 'rotate', '--here', '--request-approval', 'x', '--recover')).code, 2);
});

test('what holds a secret is asked for by no approval', async () => {
  const before = (await server.json<{ items: unknown[] }>('approval', 'list')).items.length;
  const delivery = {
    ...{ method: 'urn:ietf:rfc:8935', endpoint_url: 'https://siem.example.com/events' },
    authorization_header: 'Bearer of a secret',
  };
  const asks = clientOf(server.operator).json({
    ...{ method: 'POST', path: '/v1/signals/streams', body: { delivery } },
    headers: { 'Writ-Request-Approval': 'reason=x' },
  });
  await assert.rejects(asks, (error) => isWritError(error, 'bad_request') && /secret/.test(error.message));
  assert.equal((await server.json<{ items: unknown[] }>('approval', 'list')).items.length, before);
});
