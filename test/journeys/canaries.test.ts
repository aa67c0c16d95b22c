/** Canaries on the real server: at a point that follows the feed, at one that does not, at one that is down, across restarts. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { type AddressInfo, connect as connectTcp, createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { CanaryRunner, connect, createVerifier } from '../../src/sdk/entry.ts';
import type { Canary, CanaryReport } from '../../src/wire/canary.ts';
import { writ } from '../program.ts';
import { type TestServer, testServer } from '../server.ts';
import { operatorClient } from './clients.ts';

let server: TestServer = await testServer();
const gateway = await connect({ token: await server.token('gateway', 'service') });
const peer = 'service/gateway/*';
await server.json(
  ...['agent', 'register', 'canary', '--team', 'security', '--sponsor', 'ada@example.com'],
  ...['--purpose', 'measures time to effect', '--label', 'canary=true'],
);
const closing: (() => void)[] = [() => gateway.close()];
after(() => {
  for (const close of closing) close();
});

/** An HTTPS service of the gateway's that canaries may call; `follows`: it knows of the feed. */
async function service(follows: boolean): Promise<{ readonly url: string; readonly close: () => void }> {
  const verifier = follows ? createVerifier({ identity: gateway, mode: 'strict', point: 'gateway-1' }) : undefined;
  await verifier?.ready(AbortSignal.timeout(20_000));
  const allow = 'agent/canary/*';
  const handler = (_: unknown, answer: { end(text: string): void }): void => answer.end('yes');
  const listener = createServer(gateway.serverOptions(), verifier?.guard(handler, { allow }) ?? handler);
  if (verifier === undefined) gateway.protect(listener, { allow });
  else verifier.protect(listener, { allow });
  listener.on('tlsClientError', () => undefined);
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  const close = (): void => {
    verifier?.close();
    listener.close();
    listener.closeAllConnections();
  };
  closing.push(close);
  return { url: `https://127.0.0.1:${(listener.address() as AddressInfo).port}/canary`, close };
}

/** `writ canary run` as a process of its own, once; gives its exit code and what it found. */
async function lookOnce(
  point: string,
  url: string,
  ...more: string[]
): Promise<{ code: number | null; report: CanaryReport }> {
  const flags = ['--agent', 'canary', '--point', point, '--url', url, '--peer', peer, '--once', '--json', ...more];
  const { code, stdout, stderr } = await writ(
    ['canary', 'run', ...flags, '--operator', server.operator, '--server', server.api],
    {},
  );
  assert.equal(stdout.trim().split('\n').length, 1, stdout + stderr);
  return { code, report: JSON.parse(stdout) as CanaryReport };
}

async function listed(point: string): Promise<Canary | undefined> {
  const { items } = await server.json<{ items: Canary[] }>('canary', 'list');
  return items.find((one) => one.point === point);
}

interface Doctor {
  readonly findings: readonly { readonly check: string; readonly state: string; readonly found: string }[];
}

async function doctor(): Promise<Doctor['findings'][number]> {
  const { stdout } = await server.cli('doctor', '--json');
  return (JSON.parse(stdout) as Doctor).findings.find(({ check }) => check === 'canaries')!;
}

async function metrics(): Promise<string> {
  const admin = operatorClient(server.operator, server.api);
  const { body } = await admin.send({ path: '/metrics' });
  admin.close();
  return body.toString();
}

test('where the feed is followed, a canary is refused in time, and everybody can see how fast', async () => {
  const { url } = await service(true);
  const { code, report } = await lookOnce('gateway-1', url);
  assert.deepEqual([code, report.verdict], [0, 'refused'], JSON.stringify(report));
  assert.ok(report.time_to_effect_ms! <= 1000, JSON.stringify(report));
  // Both kinds of connections were in use when the child was stopped.
  assert.ok(report.kept_ms !== undefined && report.fresh_ms !== undefined, JSON.stringify(report));
  assert.ok(report.calls > 20);

  const one = await listed('gateway-1');
  assert.deepEqual([one?.status, one?.samples, one?.time_to_effect_ms], ['well', 1, report.time_to_effect_ms]);
  assert.deepEqual(await doctor(), { check: 'canaries', state: 'pass', found: 'all 1 points refuse in time' });
  assert.match(await metrics(), /^writ_canary_well\{agent="canary",point="gateway-1"\} 1$/m);
  // What it did is no secret to who follows the child through the ledger, and the child is stopped for good.
  const { items } = await server.json<{ items: { type: string }[] }>(
    ...['ledger', 'list', '--subject', `instance:${report.child}`],
  );
  const types = items.map(({ type }) => type);
  for (const type of ['instance.enrolled', 'instance.stopped', 'canary.measured'])
    assert.ok(types.includes(type), type);
});

test('a point that does not follow the feed is found out, and the alarm stays', async () => {
  const { url } = await service(false);
  const { code, report } = await lookOnce('careless', url);
  assert.deepEqual([code, report.verdict], [7, 'still_accepted']);
  assert.ok(report.time_to_effect_ms! > 5000 && report.accepted_after > 50, JSON.stringify(report));
  assert.equal((await listed('careless'))?.status, 'failing');
  const found = await doctor();
  assert.deepEqual([found.state, /careless/.test(found.found)], ['fail', true]);
  assert.match(await metrics(), /^writ_canary_failures_total\{agent="canary",point="careless"\} 1$/m);
  await server.json('canary', 'remove', 'careless');
  assert.equal(await listed('careless'), undefined);
  assert.equal((await doctor()).state, 'pass');
});

test('a point that is down is neither a success nor an alarm of revocation', async () => {
  const { url, close } = await service(true);
  close();
  const { code, report } = await lookOnce('down', url);
  assert.deepEqual([code, report.verdict, report.detail], [7, 'unreachable', 'control: ECONNREFUSED']);
  const one = await listed('down');
  assert.deepEqual([one?.status, one?.successes, one?.failures, one?.inconclusive], ['unclear', 0, 0, 1]);
  assert.equal((await doctor()).state, 'warn');
  await server.json('canary', 'remove', 'down');
});

test('one runner looks at many points, which a file names', async () => {
  const [good, gone] = [await service(true), await service(true)];
  gone.close();
  const file = join(server.scratch, 'points.json');
  const points = [
    { point: 'many-1', url: good.url, every: '1h', peer },
    { point: 'many-2', url: gone.url, peer },
  ];
  const run = (...more: string[]) =>
    writ(['canary', 'run', '--agent', 'canary', '--once', '--json', '--operator', server.operator, ...more]);
  writeFileSync(file, JSON.stringify({ points }));
  const { code, stdout } = await run('--points', file);
  const reports = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as CanaryReport);
  assert.deepEqual(
    [code, ...reports.map(({ point, verdict }) => `${point} ${verdict}`)],
    [7, 'many-1 refused', 'many-2 unreachable'],
  );
  for (const point of ['many-1', 'many-2']) await server.json('canary', 'remove', point);

  for (const [wrong, field] of [
    [{ points: [{ ...points[0], url: 'http://gateway.internal/' }] }, '/points/0/url'],
    [{ points: [points[0], points[0]] }, 'points'],
    [{ points: [{ ...points[0], every: '1s' }] }, 'every'],
  ] as const) {
    writeFileSync(file, JSON.stringify(wrong));
    const refused = await run('--points', file);
    const { error } = JSON.parse(refused.stderr.trim().split('\n').at(-1)!) as { error: { field: string } };
    assert.deepEqual([refused.stdout, error.field], ['', field]);
    assert.notEqual(refused.code, 0);
  }
  assert.notEqual((await run('--points', file, '--point', 'both')).code, 0);
});

test('an agent without the label cannot report', async () => {
  const { url } = await service(true);
  const token = await server.token('planner');
  const identity = await connect({ token });
  const points = [{ point: 'gateway-1', url, peer }];
  const runner = new CanaryRunner({ identity, points, limits: { admission: 500 } });
  const failures: string[] = [];
  runner.on('failed', (_, error) => failures.push((error as Error & { code: string }).code));
  const report = await runner.probe(points[0]!);
  // It is not let in by the point, either.
  assert.equal(report.verdict, 'unreachable');
  assert.deepEqual([failures, runner.unsent], [['denied'], []]);
  runner.close();
  identity.close();
});

/** `writ canary run` as it runs all the time, until it is sent something. */
function runAlways(url: string, store: string) {
  const flags = [
    '--agent',
    'canary',
    '--point',
    'always',
    '--url',
    url,
    '--peer',
    peer,
    '--every',
    '15s',
    '--store',
    store,
  ];
  const line = ['canary', 'run', ...flags, '--json', '--operator', server.operator, '--server', server.api];
  const child = spawn(process.execPath, [join(import.meta.dirname, '../../src/cmd/main.ts'), ...line], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
  });
  closing.push(() => child.kill('SIGKILL'));
  let said = '';
  const measured = new Promise<CanaryReport>((found) => {
    child.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (said.includes('\n')) found(JSON.parse(said.slice(0, said.indexOf('\n'))) as CanaryReport);
    });
  });
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
  const ended = once(child, 'exit').then(([code]) => ({ code: code as number | null, complaint }));
  return { measured, ended, child };
}

test('a runner goes on as the same instance after it was ended or killed, and ends for good when it is stopped', async () => {
  const { url } = await service(true);
  const store = join(server.scratch, 'runner');
  const runners: string[] = [];
  for (const signal of ['SIGTERM', 'SIGKILL', undefined] as const) {
    const { measured, ended, child } = runAlways(url, store);
    const report = await Promise.race([measured, ended.then(({ complaint }) => assert.fail(complaint))]);
    assert.equal(report.verdict, 'refused', JSON.stringify(report));
    for (let waited = 0; (await listed('always'))?.child !== report.child; waited++) {
      assert.ok(waited < 50);
      await pause(100);
    }
    runners.push((await listed('always'))!.runner);
    if (signal !== undefined) {
      child.kill(signal);
      assert.equal((await ended).code, signal === 'SIGTERM' ? 0 : null);
      continue;
    }
    await server.json('instance', 'stop', runners[0]!, '--yes');
    const { code, complaint } = await ended;
    assert.notEqual(code, 0);
    assert.match(complaint, /revoked|stopped/);
  }
  assert.deepEqual(runners, [runners[0], runners[0], runners[0]]);
  const one = await listed('always');
  assert.deepEqual([one?.samples, one?.period_seconds], [3, 15]);
  await server.json('canary', 'remove', 'always');
});

/** What stands between a runner and the server, and can be cut. */
async function cable(): Promise<{ readonly url: string; plug(port: number | undefined): void }> {
  let target: number | undefined;
  const ends = new Set<() => void>();
  const listener = createTcpServer((near) => {
    const far = target === undefined ? undefined : connectTcp(target, '127.0.0.1');
    const end = (): void => {
      near.destroy();
      far?.destroy();
      ends.delete(end);
    };
    ends.add(end);
    for (const one of [near, far]) one?.on('error', end).on('close', end);
    if (far === undefined) end();
    else near.pipe(far).pipe(near);
  });
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  closing.push(() => {
    listener.close();
    for (const end of ends) end();
  });
  return {
    url: `https://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    plug(port) {
      target = port;
      if (port === undefined) for (const end of ends) end();
    },
  };
}

test('what was found while the server is away is reported when it is back, and the next probe is made', async () => {
  const { url } = await service(true);
  const { plug, url: address } = await cable();
  plug(Number(new URL(server.api).port));
  const { token } = await server.json<{ token: string }>('token', 'create', 'canary');
  const identity = await connect({ token });
  const runner = new CanaryRunner({
    identity,
    server: address,
    points: [{ point: 'gateway-1', url, peer, everyMs: 15_000 }],
  });
  closing.push(
    () => runner.close(),
    () => identity.close(),
  );
  const failures: Error[] = [];
  runner.on('failed', (_, error) => failures.push(error));
  const ending = new AbortController();
  const away = new Promise<CanaryReport>((found) =>
    runner.once('measured', (report) => {
      plug(undefined);
      found(report);
    }),
  );
  const running = runner.run(ending.signal);
  const report = await away;
  assert.equal(report.verdict, 'refused');
  server = await server.restart();
  assert.notEqual((await listed('gateway-1'))?.child, report.child);
  assert.deepEqual(runner.unsent, ['gateway-1']);
  plug(Number(new URL(server.api).port));
  for (let waited = 0; (await listed('gateway-1'))?.child !== report.child; waited++) {
    assert.ok(waited < 100, failures.map(({ message }) => message).join());
    await pause(200);
  }
  assert.ok(failures.length > 0);
  ending.abort();
  await running;
});
