/** The feed of a running server, as it is on the wire. */
import assert from 'node:assert/strict';
import type { ClientRequest } from 'node:http';
import { request } from 'node:https';
import { after, test } from 'node:test';
import { revoked, until } from '../../../test/feed.ts';
import { testServer } from '../../../test/server.ts';
import { connect } from '../../sdk/enrolment/connect.ts';
import { FeedSignatures } from '../../sdk/feed/signatures.ts';
import type { Identity } from '../../sdk/identity/identity.ts';
import { machineClock } from '../../sdk/machine-clock.ts';
import { createVerifier } from '../../sdk/verifier/verifier.ts';
import type { FeedState } from '../../wire/feed.ts';
import type { FeedStatement, SignedStatement } from '../../wire/feed-statement.ts';

const server = await testServer({ args: ['--threads', '2'] });
const reader = await connect({ token: await server.token('reader', 'service') });
const open = new Set<ClientRequest>();
after(() => {
  for (const one of open) one.destroy();
  reader.close();
});

interface Stream {
  readonly status: number;
  text: string;
  ended: boolean;
}

/** Reads the stream as an agent would, with what it last knew. */
function read(as: Identity, options: { readonly after?: string; readonly query?: string } = {}): Promise<Stream> {
  const url = new URL(server.api);
  const headers = options.after === undefined ? {} : { 'Last-Event-ID': options.after };
  return new Promise((resolve, reject) => {
    const sent = request({
      ...{ host: url.hostname, port: url.port, path: `/v1/feed${options.query ?? ''}`, agent: false, headers },
      ...as.clientOptions({ allow: 'writ/server' }),
    });
    open.add(sent);
    sent.on('error', reject);
    sent.on('response', (answer) => {
      const stream: Stream = { status: answer.statusCode!, text: '', ended: false };
      answer.on('data', (chunk: Buffer) => {
        stream.text += chunk.toString();
      });
      for (const event of ['end', 'error']) answer.on(event, () => (stream.ended = true));
      resolve(stream);
    });
    sent.end();
  });
}

function idsOf({ text }: Stream): string[] {
  return [...text.matchAll(/^id: (.*)$/gm)].map(([, id]) => id!);
}

test('hello, entries in the order of the log, a heartbeat each second; resumed without a gap', async () => {
  const whole = await read(reader);
  const heartbeats = (): number => whole.text.split('event: heartbeat').length - 1;
  await until(() => heartbeats() >= 3, 4000);
  assert.match(whole.text, /^event: hello\ndata: \{"log":1,"position":\d+,"epoch":\d+,"as_of":\d+,"time":\d+\}\n\n/);
  const serials = [await revoked(server), await revoked(server), await revoked(server)];
  await until(() => serials.every((serial) => whole.text.includes(serial)));
  const ids = idsOf(whole);
  assert.equal(ids.length, 3);
  assert.deepEqual(
    ids,
    [...ids].sort((a, b) => Number(a.split('.')[1]) - Number(b.split('.')[1])),
  );
  const resumed = await read(reader, { after: ids[0]! });
  await until(() => idsOf(resumed).length === 2);
  assert.deepEqual(idsOf(resumed), ids.slice(1));
  // From another log nothing can be resumed.
  const other = await read(reader, { after: `2.${ids[0]!.split('.')[1]}` });
  await until(() => other.ended);
  assert.match(other.text, /event: behind/);
});

/** What was signed, of which nobody but a server of the authority could have. */
function saidIn({ text }: Stream): FeedStatement[] {
  return [...text.matchAll(/^event: signed\ndata: (.*)$/gm)].map(([, one]) => signatures.read(JSON.parse(one!)));
}
const signatures = new FeedSignatures({ identity: reader, clock: machineClock, fallen: () => undefined });

test('a relay gets it signed, each piece from where the last ends, and resumes without a gap', async () => {
  const whole = await read(reader, { query: '?signed=1' });
  await until(() => saidIn(whole).some(({ kind }) => kind === 'state'));
  const start = saidIn(whole)[0]! as FeedState;
  const serials = [await revoked(server), await revoked(server), await revoked(server)];
  const pieces = (of: Stream) => saidIn(of).filter((one) => one.kind === 'entries');
  await until(() => pieces(whole).length === 3);
  assert.doesNotMatch(whole.text, /^event: (?:entry|heartbeat)$/m);
  let place = start.position;
  for (const [i, { after, position, entries }] of pieces(whole).entries()) {
    assert.deepEqual([after, entries.length, entries[0]!.subjects[0]], [place, 1, `serial:${serials[i]}`]);
    place = position;
  }
  // Of what was missed in one piece, which says from where.
  const from = pieces(whole)[0]!.position;
  const resumed = await read(reader, { after: `1.${from}`, query: '?signed=1' });
  await until(() => saidIn(resumed).some(({ kind }) => kind === 'state'));
  const [missed, more] = pieces(resumed);
  assert.equal(more, undefined);
  assert.deepEqual([missed!.after, missed!.position, missed!.entries.length], [from, place, 2]);
  const fetch = reader.fetch({ allow: 'writ/server' });
  const page = await fetch(`${server.api}/v1/feed/signed-entries?after=${from}`);
  const told = signatures.read((await page.json()) as SignedStatement);
  assert.ok(told.kind === 'page' && told.after === from && told.entries.length === 2);
  for (const [path, body] of [
    ['signed-entries?after=x', undefined],
    ['time', '{"nonces":[]}'],
    ['time', '{"nonces":["Zk3v9Qm2bT8xW1nLc0aPdg"],"time":1}'],
  ] as const) {
    const answer = await fetch(
      `${server.api}/v1/feed/${path}`,
      body === undefined ? {} : { method: 'POST', body, headers: { 'content-type': 'application/json' } },
    );
    assert.equal(answer.status, 400, path);
  }
});

test('whoever is revoked has his stream cut; others go on', async () => {
  const victim = await connect({ token: await server.token('victim') });
  const [his, ours] = [await read(victim), await read(reader)];
  await until(() => his.text.includes('heartbeat') && ours.text.includes('heartbeat'));
  await server.json('instance', 'stop', victim.spiffeId.split('/').at(-1)!, '--yes');
  await until(() => his.ended, 1000);
  victim.close();
  assert.equal(ours.ended, false);
  await assert.rejects(read(victim).then(({ status }) => assert.equal(status, 200)));
});

test('what cannot be understood is refused; one caller has no more than so many streams', async () => {
  assert.equal((await read(reader, { after: 'yesterday' })).status, 400);
  assert.equal((await read(reader, { query: '?point=a%20b' })).status, 400);
  assert.equal((await read(reader, { query: '?from=1' })).status, 400);
  assert.equal((await read(reader, { query: '?signed=yes' })).status, 400);
  const crowd = await connect({ token: await server.token('crowd') });
  const streams = await Promise.all(Array.from({ length: 160 }, () => read(crowd)));
  crowd.close();
  const counts = new Map<number, number>();
  for (const { status } of streams) counts.set(status, (counts.get(status) ?? 0) + 1);
  // Two threads with 64 each.
  assert.ok((counts.get(429) ?? 0) >= 160 - 128, JSON.stringify([...counts]));
  assert.ok((counts.get(200) ?? 0) >= 64, JSON.stringify([...counts]));
});

test('--wait shows how a stop takes effect, at points that either thread serves', async () => {
  const verifiers = Array.from({ length: 6 }, (_, i) =>
    createVerifier({ identity: reader, mode: 'strict', point: `point-${i}` }),
  );
  await Promise.all(verifiers.map((one) => one.ready(AbortSignal.timeout(5000))));
  const victim = await connect({ token: await server.token('victim') });
  const said = await server.cli('cert', 'revoke', victim.credential.serial, '--cause', 'key_theft', '--wait', '--json');
  victim.close();
  const { effect } = JSON.parse(said.stdout) as { effect: Record<string, number> };
  assert.equal(effect['points'], 6);
  assert.equal(effect['acknowledged'], 6);
  assert.equal(effect['accepted_after'], 0);
  assert.ok(effect['max_ms']! < 1000, JSON.stringify(effect));
  assert.match(said.stderr, /Refused at 6 of 6 enforcement points/);
  for (const one of verifiers) one.close();
});

test('a stop of the server ends all streams at once, in order', async () => {
  const stream = await read(reader);
  await until(() => stream.text.includes('heartbeat'));
  const begun = performance.now();
  await server.stop();
  assert.ok(stream.ended);
  assert.ok(performance.now() - begun < 5000, `${performance.now() - begun} ms`);
});
