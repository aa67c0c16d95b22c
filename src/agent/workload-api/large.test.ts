/** Many: ten thousand identities in one message, a thousand streams on one daemon. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { testServer } from '../../../test/server.ts';
import { connect } from '../../sdk/enrolment/connect.ts';
import { Daemon } from '../daemon.ts';
import type { NodeServer } from '../server.ts';
import { header, readStream, workloadStub } from '../testdata/client.ts';
import { testNodeServer } from '../testdata/node-server.ts';

const server = await testServer();
const node = await connect({ token: await server.token('box', 'service') });
const planner = await connect({ token: await server.token('planner') });
const scratch = mkdtempSync(join(tmpdir(), 'writ-agent-'));
const closing: (() => unknown)[] = [
  () => node.close(),
  () => planner.close(),
  () => rmSync(scratch, { recursive: true, force: true }),
];
after(async () => {
  for (const close of closing.reverse()) await close();
});

const me = [`unix:uid=${process.geteuid!()}`];
let count = 0;

/** Identities of one certificate under many names: what is tried is how many there are, not who signed them. */
async function started(entries: number) {
  const directory = join(scratch, String(count++));
  const own = testNodeServer(server);
  own.set(Array.from({ length: entries }, (_, n) => ({ id: String(n).padStart(26, '0'), match: me })));
  const cheap: NodeServer = {
    ...own,
    enrol: async ({ entry }) => ({
      ...planner.credential,
      spiffeId: `spiffe://${node.trustDomain}/agent/planner/${entry}`,
    }),
    stop: async () => undefined,
  };
  const socket = join(directory, 'api.sock');
  const daemon = await Daemon.start({
    ...{ identity: node, socket, admin: join(`${directory}-admin`, 'api.sock'), server: cheap },
  });
  closing.push(() => daemon.close());
  // Lists of a server that has just begun come a moment later, and would be a message of their own.
  await daemon.refresh();
  const stub = () => {
    const made = workloadStub(socket);
    closing.push(() => made.close());
    return made;
  };
  return { daemon, own, stub };
}

test('ten thousand identities come in one message, and again whole when one is gone', async () => {
  const { daemon, stub } = await started(10_000);
  const stream = readStream(stub().FetchX509SVID({}, header()));
  const [first] = await stream.count(1, 60_000);
  assert.equal(first!.svids.length, 10_000);
  assert.equal(new Set(first!.svids.map(({ spiffe_id }) => spiffe_id)).size, 10_000);
  [...daemon.workloads.children][5000]!.finish('stopped');
  await stream.find(({ svids }) => svids.length === 9999, 60_000);
  stream.cancel();
});

test('a reader that takes nothing keeps nobody waiting, and gets the newest when it reads again', async () => {
  const { daemon, stub } = await started(2000);
  const slow = stub().FetchX509SVID({}, header());
  let messages = 0;
  let last = 0;
  slow.on('error', () => undefined);
  slow.once('data', () => slow.pause());
  const quick = readStream(stub().FetchX509SVID({}, header()));
  await quick.count(1, 60_000);
  for (let n = 0; n < 5; n++) {
    [...daemon.workloads.children][0]!.finish('stopped');
    await quick.find(({ svids }) => svids.length === 1999 - n, 60_000);
  }
  slow.on('data', ({ svids }: { svids: readonly object[] }) => {
    messages += 1;
    last = svids.length;
  });
  slow.resume();
  for (let n = 0; n < 2000 && last !== 1995; n++) await new Promise((then) => setTimeout(then, 10));
  assert.equal(last, 1995);
  assert.ok(messages < 8, `${messages} messages`);
  slow.cancel();
  quick.cancel();
});

test('a thousand streams hear of a change', async () => {
  const { daemon, own, stub } = await started(1);
  const streams = Array.from({ length: 10 }, stub).flatMap((one) =>
    Array.from({ length: 100 }, () => readStream(one.FetchX509Bundles({}, header()))),
  );
  await Promise.all(streams.map((one) => one.count(1, 60_000)));
  own.others = new Map([['partner.example', { authorities: [], jwtKeys: [], keys: [{ kid: 'x' }] }]]);
  own.set([
    { id: '0'.repeat(26), match: me },
    { id: '1'.repeat(26), match: me, federates_with: ['partner.example'] },
  ]);
  await daemon.refresh();
  await Promise.all(streams.map((one) => one.find(({ bundles }) => 'spiffe://partner.example' in bundles, 60_000)));
  for (const one of streams) one.cancel();
});
