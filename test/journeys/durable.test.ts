/**
 * `kill -9` cannot tell a commit that is on disk from one that the operating system still holds in memory. The system calls
 * can: no answer may leave before an fsync that began after its entry was written has ended.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { noteGap } from '../gaps.ts';
import { type Run, run, scratchDirectory } from './authority.ts';

/** One system call that has returned. */
interface Call {
  readonly name: string;
  /** What the descriptor is, and what follows. */
  readonly rest: string;
  /** Seconds since the epoch. */
  readonly begun: number;
  readonly ended: number;
}

/** One request and its answer, as the client saw them. */
interface Exchange {
  /** What stands in the entry and in nothing that was written before, as the tracer prints it. */
  readonly mark: string;
  /** Where the entry has to be durable: the end of a file's name. */
  readonly files: readonly string[];
  /** Seconds since the epoch. */
  readonly sent: number;
  readonly received: number;
}

const missing = straceMissing();

describe('a commit', { concurrency: true, skip: missing ?? false }, () => {
  it('is on disk before its answer leaves', async () => {
    const { calls, exchanges } = await traced({}, async ({ issue, revoke }, instance) => {
      const [issued, { serial }] = await exchange(() => issue(instance), ['writ.db-wal']);
      const [revoked] = await exchange(() => revoke(serial), ['writ.db-wal', 'revocations']);
      return [
        { ...issued, mark: `serial:${serial}` },
        { ...revoked, mark: `\\"serial\\":\\"${serial}\\"` },
      ];
    });
    assert.equal(exchanges.length, 24);
    assert.deepEqual(tooEarly(calls, exchanges), []);
  });

  it('that is answered before would be seen', async () => {
    const hooks = new URL('../torture/sabotage/hooks.ts', import.meta.url).href;
    const sabotaged = { nodeFlags: ['--import', hooks], environment: { WRIT_SABOTAGE: 'answer-before-commit' } };
    const { calls, exchanges } = await traced(sabotaged, async ({ issue }, instance) => {
      const [issued, { serial }] = await exchange(() => issue(instance), ['writ.db-wal']);
      return [{ ...issued, mark: `serial:${serial}` }];
    });
    assert.equal(tooEarly(calls, exchanges).length, exchanges.length);
  });
});

/** Lets `act` be done twelve times, while every system call that matters is written down. */
async function traced(
  options: Parameters<typeof run>[1],
  act: (authority: Run, instance: string) => Promise<Exchange[]>,
): Promise<{ calls: Call[]; exchanges: Exchange[] }> {
  const scratch = scratchDirectory();
  const data = join(scratch, 'writ-data');
  const before = await run(data);
  const { instance } = await before.letIn('planner');
  await before.server.stop();
  const authority = await run(data, options);
  // The handshake is over before anything is looked at.
  await authority.get('/v1/whoami');
  const file = join(scratch, 'trace');
  const tracer = spawn('strace', [
    ...['-f', '-yy', '-ttt', '-T', '-s', '20000', '-o', file, '-p', String(authority.server.pid)],
    ...['-e', 'trace=fsync,fdatasync,write,pwrite64,writev,pwritev,sendto,sendmsg'],
  ]);
  await once(tracer.stderr, 'data');
  const exchanges: Exchange[] = [];
  for (let i = 0; i < 12; i++) exchanges.push(...(await act(authority, instance)));
  // The tracer writes down what has returned.
  await pause(100);
  tracer.kill('SIGINT');
  await once(tracer, 'close');
  await authority.server.stop();
  return { calls: parseTrace(readFileSync(file, 'latin1')), exchanges };
}

async function exchange<T>(ask: () => Promise<T>, files: readonly string[]): Promise<[Omit<Exchange, 'mark'>, T]> {
  const now = (): number => (performance.timeOrigin + performance.now()) / 1000;
  const sent = now();
  const answer = await ask();
  return [{ files, sent, received: now() }, answer];
}

/** What is wrong with each exchange whose answer left before its entry was durable. */
function tooEarly(calls: readonly Call[], exchanges: readonly Exchange[]): string[] {
  return exchanges.flatMap(({ mark, files, sent, received }) => {
    const during = calls.filter(({ begun }) => begun >= sent && begun <= received);
    const answers = during.filter(({ rest }) => /^\d+<TCP/.test(rest));
    const durable = files.map((file) => {
      const there = during.filter(({ rest }) => rest.includes(`${file}>`));
      const written = there.find(({ rest }) => file === 'revocations' || rest.includes(mark));
      const synced = there.find(({ name, begun }) => name.endsWith('sync') && begun >= (written?.ended ?? 0));
      return written === undefined ? Number.POSITIVE_INFINITY : (synced?.ended ?? Number.POSITIVE_INFINITY);
    });
    const at = Math.max(...durable);
    const early = answers.some(({ begun }) => begun < at);
    return answers.length > 0 && !early ? [] : [`${mark}: ${answers.length} writes to the client, durable at ${at}`];
  });
}

/** Lines of `strace -f -yy -ttt -T`; a call that another thread's line cut in two is put together again. */
function parseTrace(text: string): Call[] {
  const open = new Map<string, { readonly begun: number; readonly name: string; readonly rest: string }>();
  const calls: Call[] = [];
  for (const line of text.split('\n')) {
    const match = /^(\d+) +(\d+\.\d+) (?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)$/.exec(line);
    if (match === null) continue;
    const [, thread, time, , name, rest = ''] = match;
    const begun = Number(time);
    if (rest.endsWith('<unfinished ...>')) {
      open.set(thread!, { begun, name: name!, rest });
      continue;
    }
    const took = Number(/<(\d+\.\d+)>$/.exec(rest)?.[1] ?? 0);
    const first = name === undefined ? open.get(thread!) : { begun, name, rest };
    if (first !== undefined) calls.push({ ...first, ended: first.begun + took });
  }
  return calls.sort((a, b) => a.begun - b.begun);
}

/** Undefined when system calls can be watched here; otherwise the reason, which is noted for the end of the run. */
function straceMissing(): string | undefined {
  const { status } = spawnSync('strace', ['-f', '-o', '/dev/null', 'true']);
  if (status === 0) return undefined;
  const line = 'system calls: strace is missing or may not be used (Debian: apt-get install strace)';
  noteGap(line);
  return line;
}
