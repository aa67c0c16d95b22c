/**
 * Relying parties in processes of their own that lose their server in each way that a network knows, or are killed
 * themselves: each behaves as its mode says, and knows all that it missed once it is well again.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { connect } from '../../src/sdk/enrolment/connect.ts';
import { choices } from '../fuzz/random.ts';
import { CUTS, Forwarder } from '../torture/forwarder.ts';
import { Point, type PointMode } from '../torture/point.ts';
import { Tally } from '../torture/tally.ts';
import { run, scratchDirectory } from './authority.ts';
import type { Leaf } from './clients.ts';

const STRICT_MS = 2000;
const DEADLINE_MS = 20_000;
const scratch = scratchDirectory();
const data = join(scratch, 'writ-data');
const tally = new Tally((line) => assert.fail(line));
let server = await run(data);

const cables = new Map<PointMode, Forwarder>();
const points = new Map<PointMode, Point>();
after(async () => {
  for (const point of points.values()) await point.kill();
  for (const cable of cables.values()) cable.close();
});

const storeOf = (mode: PointMode): string => join(scratch, mode);

async function start(mode: PointMode): Promise<void> {
  points.set(mode, await Point.start({ store: storeOf(mode), mode, strictMs: STRICT_MS }, {}, tally));
}

const owner = { team: 'journeys', sponsor: 'sponsor@example.com' };
await server.post('/v1/agents', { name: 'points', owner, purpose: 'enforce' });
for (const mode of ['strict', 'available'] as const) {
  const { token } = await server.post<{ token: string }>('/v1/tokens', { agent: 'points' });
  (await connect({ token, store: storeOf(mode) })).close();
  const cable = await Forwarder.open(() => server.server.api);
  cables.set(mode, cable);
  const file = join(storeOf(mode), 'identity.json');
  const kept = JSON.parse(readFileSync(file, 'utf8')) as { home: object };
  writeFileSync(file, JSON.stringify({ ...kept, home: { ...kept.home, server: cable.url } }));
  await start(mode);
}

let agents = 0;
const newcomer = (): Promise<Leaf> => server.letIn(`planner-${++agents}`);

const serves = (mode: PointMode, leaf: Leaf): Promise<string> => points.get(mode)!.serve(leaf, server.roots);

async function until(what: () => Promise<boolean>): Promise<void> {
  for (const end = performance.now() + DEADLINE_MS; !(await what()); await pause(50)) {
    assert.ok(performance.now() < end, String(what));
  }
}

/** Knows everything that was committed before now. */
async function caughtUp(mode: PointMode): Promise<void> {
  const since = performance.now();
  await until(async () => {
    const asked = performance.now();
    const { age, well, wentBack } = await points.get(mode)!.state();
    assert.equal(wentBack, 0);
    return well && asked - age > since;
  });
}

/** What a point was told is, without a gap, what the server has. */
async function noGap(mode: PointMode): Promise<void> {
  const page = await server.get<{ entries: { position: number }[]; complete: boolean }>('/v1/feed/entries?after=0');
  assert.equal(page.complete, true);
  const stored = page.entries.map(({ position }) => position);
  assert.deepEqual(
    [...points.get(mode)!.entries].sort((a, b) => a - b),
    stored,
  );
}

const quarantine = ({ instance }: Leaf): Promise<unknown> =>
  server.post('/v1/stops', {
    target: { kind: 'instance', name: instance },
    cause: 'policy_change',
    mode: 'quarantine',
  });

async function bothKnow(over: readonly Leaf[], living: Leaf): Promise<void> {
  for (const mode of points.keys()) {
    await caughtUp(mode);
    for (const leaf of over) assert.equal(await serves(mode, leaf), 'refused', mode);
    await until(async () => (await serves(mode, living)) === 'served');
    await noGap(mode);
  }
}

for (const how of CUTS) {
  test(`cut off (${how}): strict refuses, available goes on, and both catch up`, async () => {
    const [revoked, held, living] = [await newcomer(), await newcomer(), await newcomer()];
    await bothKnow([], living);
    for (const leaf of [revoked, held])
      for (const mode of points.keys()) assert.equal(await serves(mode, leaf), 'served');
    const open = await points.get('available')!.connect(revoked, server.roots);
    assert.ok(open !== undefined);
    for (const cable of cables.values()) cable.cut(how);
    await server.revoke(revoked.serial);
    await quarantine(held);
    const alarmed = async (mode: PointMode): Promise<boolean> => !(await points.get(mode)!.state()).well;
    await until(async () => (await alarmed('strict')) && (await alarmed('available')));
    for (const leaf of [revoked, held, living]) assert.equal(await serves('strict', leaf), 'refused');
    // It cannot know better, which is what this mode is for.
    for (const leaf of [revoked, living]) assert.equal(await serves('available', leaf), 'served');
    assert.equal(open.destroyed, false);
    for (const cable of cables.values()) cable.mend();
    await bothKnow([revoked, held], living);
    await until(async () => open.closed);
  });
}

test('a relying party that is killed and starts again knows what it missed before it serves anybody', async () => {
  const [revoked, living] = [await newcomer(), await newcomer()];
  await bothKnow([], living);
  for (const mode of ['strict', 'available'] as const) await points.get(mode)!.kill();
  await server.revoke(revoked.serial);
  for (const mode of ['strict', 'available'] as const) {
    await start(mode);
    // Also in the first instant, and whatever its mode.
    assert.equal(await serves(mode, revoked), 'refused');
  }
  await bothKnow([revoked], living);
});

test('a server that is killed and starts again, with what was stopped in its last moments', async () => {
  const chosen = choices(3);
  const [revoked, held, living] = [await newcomer(), await newcomer(), await newcomer()];
  await bothKnow([], living);
  const asked = [server.revoke(revoked.serial), quarantine(held)];
  const outcomes = Promise.allSettled(asked);
  await pause(chosen.below(20));
  await server.server.kill();
  const done = (await outcomes).map(({ status }) => status === 'fulfilled');
  await until(async () => !(await points.get('strict')!.state()).well);
  assert.equal(await serves('strict', living), 'refused');
  assert.equal(await serves('available', living), 'served');
  server = await run(data);
  // Whoever got no answer asks again.
  if (!done[0]) await server.revoke(revoked.serial);
  if (!done[1]) await quarantine(held);
  await bothKnow([revoked, held], living);
});
