/** Programs that nobody here wrote, run as they are: what they say is collected, and waited for. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';

/** How long whatever is waited for may take, on a machine that has ten other things to do. */
const PATIENCE_MS = 60_000;

export interface Foreign {
  readonly child: ChildProcess;
  /** All that it has said, on either stream. */
  said(): string;
  /** Waits until it says this, counted from `from` (a length of `said()`); fails when it ends before. */
  saying(what: RegExp, from?: number): Promise<void>;
  /** Its exit code, when all that it said was read; null when a signal ended it. */
  readonly ended: Promise<number | null>;
  stop(): Promise<void>;
}

/** Starts a program. */
export function startForeign(
  path: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Foreign {
  const child = spawn(path, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  let text = '';
  let over = false;
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
  }
  const ended = once(child, 'close').then(([code]) => {
    over = true;
    return code as number | null;
  });
  return {
    ...{ child, ended },
    said: () => text,
    async saying(what, from = 0) {
      await eventually(
        () => {
          if (what.test(text.slice(from))) return true;
          assert.ok(!over, `${path} has ended and did not say ${what}:\n${text.slice(-4000)}`);
          return undefined;
        },
        () => `${path} did not say ${what}:\n${text.slice(-4000)}`,
      );
    },
    async stop() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** Waits until there is something; fails when it does not come. */
export async function eventually<T>(
  look: () => T | undefined | Promise<T | undefined>,
  why: () => string = () => `it did not come: ${look}`,
): Promise<T> {
  const late = performance.now() + PATIENCE_MS;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    assert.ok(performance.now() < late, why());
    await pause(25);
  }
}

/** A connection to something that says everything again. */
export interface Talk {
  heard(): string;
  /** Says a word; rejects unless it comes back. `why` is asked then. */
  say(word: string, why?: () => string): Promise<void>;
  /** Waits until it is over. */
  closed(why?: () => string): Promise<void>;
}

export function talk(far: Socket): Talk {
  let heard = '';
  far.on('data', (chunk: Buffer) => {
    heard += chunk.toString();
  });
  far.on('error', () => undefined);
  return {
    heard: () => heard,
    async say(word, why = () => '') {
      far.write(word);
      const failure = (): string => `"${word}" did not come back, but "${heard}": ${why()}`;
      await eventually(() => {
        assert.ok(!far.closed || heard.endsWith(word), failure());
        return heard.endsWith(word) ? true : undefined;
      }, failure);
    },
    async closed(why = () => '') {
      await eventually(
        () => (far.closed ? true : undefined),
        () => `the connection is still open, after ${heard.length} octets: ${why()}`,
      );
    },
  };
}

/** The serial number that the other end of a new connection shows, as Writ writes it. */
export async function serialShown(far: TLSSocket): Promise<string> {
  far.on('error', () => undefined);
  await once(far, 'secureConnect');
  const { serialNumber } = far.getPeerX509Certificate()!;
  far.destroy();
  return serialNumber.toLowerCase().padStart(40, '0');
}

/**
 * A free port of 127.0.0.1 for a program that cannot be asked which one it took: below those that the kernel gives out by
 * itself, so that nobody else is given it meanwhile.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (free) return port;
  }
}
