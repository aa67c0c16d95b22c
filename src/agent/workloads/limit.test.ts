/** A node at the bound of what its server lets it ask: everybody gets there, and nobody asks before the server said. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, mock, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { testServer } from '../../../test/server.ts';
import { manualClock } from '../../base/clock.ts';
import { isWritError, WritError } from '../../base/error.ts';
import { connect } from '../../sdk/enrolment/connect.ts';
import { BACKDATED_MS, type Credential } from '../../sdk/identity/credential.ts';
import type { Entry } from '../../wire/entry.ts';
import { Daemon } from '../daemon.ts';
import { createGate } from '../gate.ts';
import { type NodeServer, openNodeServer } from '../server.ts';
import { ask, header, readStream, workloadStub } from '../testdata/client.ts';
import { Child, type ChildParts } from './child.ts';
import { Rotation } from './rotation.ts';

const LONG_MS = 120_000;
const me = `unix:uid=${process.geteuid!()}`;

test('more workloads than a node may let in at once come in one after the other', async () => {
  const begun = await testServer();
  const scratch = mkdtempSync(join(tmpdir(), 'writ-agent-'));
  after(() => rmSync(scratch, { recursive: true, force: true }));
  await begun.stop();
  const file = join(begun.data, 'config.json');
  const limits = { requestThreads: 1, nodeLimit: { perSecond: 2, burst: 6 }, writeLimit: { perSecond: 1, burst: 1 } };
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), ...limits }));
  const server = await begun.restart();
  const node = await connect({ token: await server.token('box', 'service') });
  after(() => node.close());
  await server.token('planner');
  const entries = 12;
  for (let n = 0; n < entries; n++) await server.json('entry', 'create', 'planner', '--node', 'box', '--match', me);
  const real = openNodeServer(node);
  let turnedAway = 0;
  const counted: NodeServer = {
    ...real,
    enrol: (workload) =>
      real.enrol(workload).catch((error: unknown) => {
        if (isWritError(error, 'rate_limited')) turnedAway += 1;
        assert.ok(!isWritError(error, 'rate_limited') || error.retryAfter! >= 1000);
        throw error;
      }),
  };
  const socket = join(scratch, 'run', 'api.sock');
  const daemon = await Daemon.start({
    identity: node,
    socket,
    admin: join(scratch, 'admin', 'a.sock'),
    server: counted,
  });
  after(() => daemon.close());
  const stub = workloadStub(socket);
  after(() => stub.close());
  const stream = readStream(stub.FetchX509SVID({}, header()));
  const whole = await stream.find(({ svids }) => svids.length === entries, LONG_MS);
  assert.equal(new Set(whole.svids.map(({ spiffe_id }) => spiffe_id)).size, entries);
  // By the limit of ordinary instances the second would have waited already; a token counts by that of nodes, too.
  const [first] = whole.svids;
  const asked = { audience: ['https://reports.example.com'], spiffe_id: first!.spiffe_id };
  const { svids } = await ask(stub, stub.FetchJWTSVID, asked, header());
  assert.equal(svids[0]!.spiffe_id, first!.spiffe_id);
  stream.cancel();
  assert.ok(turnedAway < entries, `${turnedAway} were turned away twice`);
});

test('a renewal that was turned away is not tried again before the server said', async () => {
  mock.timers.enable({ apis: ['setInterval'] });
  const clock = manualClock(1_800_000_000_000);
  const rotation = new Rotation(clock, Math.random, clock.now);
  const tries: number[] = [];
  const server = {
    async renew(current: Credential) {
      tries.push(clock.now());
      if (tries.length < 3) throw new WritError('rate_limited', 'later', { retryAfter: 60_000 });
      return current;
    },
  } as unknown as NodeServer;
  const credential = {
    ...{ spiffeId: 'spiffe://test/agent/a/1', certificate: '', chain: [], roots: [], serial: '01' },
    ...{ notBefore: clock.now() - BACKDATED_MS, notAfter: clock.now() + 3_600_000, renewAfter: clock.now() },
  } as unknown as Credential;
  const parts: ChildParts = {
    ...{ server, rotation, clock, random: Math.random, turn: createGate(1) },
    facts: async () => undefined,
    said: () => undefined,
    changed: () => undefined,
  };
  const child = new Child({ id: '0'.repeat(26) } as Entry, credential, parts);
  try {
    for (let passed = 0; passed < 3_600_000 && tries.length < 3; passed += 100) {
      clock.advance(100);
      mock.timers.tick(100);
      await turn();
    }
    assert.equal(tries.length, 3);
    for (const [n, at] of tries.slice(1).entries()) {
      const pause = at - tries[n]!;
      assert.ok(pause >= 60_000 && pause <= 90_200, `${pause} ms`);
    }
  } finally {
    child.finish('closed');
    rotation.close();
    mock.timers.reset();
  }
});
