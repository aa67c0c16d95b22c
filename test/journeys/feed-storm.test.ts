/** A storm of single stops on the real server: each is measured at each point, and found under what was stopped. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { connect, createVerifier } from '../../src/sdk/entry.ts';
import { testServer } from '../server.ts';
import { clientOf, enrol, operatorClient, rootsIn } from './clients.ts';

const STOPS = 200;
const POINTS = 6;

const first = await testServer({ args: ['--threads', '2'] });
const config = join(first.data, 'config.json');
writeFileSync(config, JSON.stringify({ ...(JSON.parse(readFileSync(config, 'utf8')) as object), stopsAMinute: STOPS }));
const server = await first.restart();
const reader = await connect({ token: await server.token('reader', 'service') });
const verifiers = Array.from({ length: POINTS }, (_, i) =>
  createVerifier({ identity: reader, mode: 'strict', point: `point-${i}` }),
);
after(() => {
  for (const one of verifiers) one.close();
  reader.close();
});

interface Effect {
  readonly type: string;
  readonly body: Readonly<Record<'acts' | 'points' | 'acknowledged' | 'accepted_after' | 'max_ms', number | undefined>>;
  readonly subjects: readonly string[];
}

async function records(): Promise<Effect[]> {
  const items: Effect[] = [];
  for (let cursor: string[] = []; ; ) {
    const page = await server.json<{ items: Effect[]; next_cursor?: string }>(
      ...['ledger', 'list', '--limit', '5000', ...cursor],
    );
    items.push(...page.items.filter(({ type }) => type === 'revocation.effective'));
    if (page.next_cursor === undefined) return items;
    cursor = ['--cursor', page.next_cursor];
  }
}

test('each stop of a storm is on record with all points, and under its own certificate', async () => {
  await server.token('fleet');
  const { token } = await server.json<{ token: string }>('token', 'create', 'fleet', '--uses', String(STOPS));
  const open = clientOf(server.api, rootsIn(server.operator), undefined, { timeout: 60_000 });
  const admin = operatorClient(server.operator, server.api);
  after(() => [open, admin].map((client) => client.close()));
  const serials: string[] = [];
  const inFlight = async (act: (n: number) => Promise<void>): Promise<void> => {
    let next = 0;
    const line = async (): Promise<void> => {
      while (next < STOPS) await act(next++);
    };
    await Promise.all(Array.from({ length: 16 }, line));
  };
  await inFlight(async () => void serials.push((await enrol(open, token)).serial));
  await Promise.all(verifiers.map((one) => one.ready(AbortSignal.timeout(10_000))));

  await inFlight(async (n) => {
    const path = `/v1/certificates/${serials[n]}/revoke`;
    for (;;) {
      try {
        await admin.json({ method: 'POST', path, body: { cause: 'key_theft' } });
        return;
      } catch (error) {
        // So many writes a second are one caller's; the storm goes on.
        if ((error as { code?: string }).code !== 'rate_limited') throw error;
        await pause(200);
      }
    }
  });
  const stopped = (all: readonly Effect[]): number => all.reduce((sum, { body }) => sum + (body.acts ?? 1), 0);
  let found = await records();
  for (let waited = 0; stopped(found) < STOPS && waited < 40; waited++) {
    await pause(500);
    found = await records();
  }
  const sum = (member: 'points' | 'acknowledged' | 'accepted_after'): number =>
    found.reduce((total, { body }) => total + (body[member] ?? 0), 0);
  assert.deepEqual(
    [stopped(found), sum('points'), sum('acknowledged'), sum('accepted_after')],
    [STOPS, STOPS * POINTS, STOPS * POINTS, 0],
  );
  const named = new Set(found.flatMap(({ subjects }) => subjects));
  for (const serial of serials) assert.ok(named.has(`serial:${serial}`), serial);
});
