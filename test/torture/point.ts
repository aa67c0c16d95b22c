import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { ClientRequest } from 'node:http';
import { request } from 'node:https';
import { join } from 'node:path';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { ProgramOptions } from '../program.ts';
import type { Bearer } from './door.ts';
import type { Tally } from './tally.ts';

export type PointMode = 'strict' | 'available';

/** What a point's process is told. */
export interface PointSettings {
  /** Directory of its identity. */
  readonly store: string;
  readonly mode: PointMode;
  readonly strictMs: number;
}

/** What it answers. */
export interface PointState {
  /** Milliseconds. */
  readonly age: number;
  readonly well: boolean;
  readonly alarms: number;
  /** What went wrong last, when the feed was old. */
  readonly cause?: string | undefined;
  /** Entries that did not come in the order of the log. */
  readonly wentBack: number;
  /** Positions that it was told since it was asked before. */
  readonly entries: readonly number[];
}

const SCRIPT = join(import.meta.dirname, 'point-process.ts');
/** How long one answer may take on a busy machine. */
const ANSWER_MS = 20_000;

/** Those that run die with this process. */
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** One life of an enforcement point: from its start to its end by `kill -9`. */
export class Point {
  /** Positions of all entries that it was told. */
  readonly entries: Set<number> = new Set();
  readonly #child: ChildProcess;
  readonly #port: number;
  #killed = false;

  static async start(settings: PointSettings, options: ProgramOptions, tally: Tally): Promise<Point> {
    const child = fork(SCRIPT, [JSON.stringify(settings)], {
      execArgv: [...(options.nodeFlags ?? [])],
      env: { ...process.env, ...options.environment },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    running.add(child);
    let said = '';
    child.stderr!.on('data', (piece: Buffer) => {
      said = (said + piece.toString()).slice(-500);
    });
    const port = await Promise.race([once(child, 'message'), once(child, 'exit')]);
    if (child.exitCode !== null) throw new Error(`a point did not start: ${said}`);
    const point = new Point(child, port[0] as number);
    child.once('exit', (code, signal) => {
      running.delete(child);
      if (!point.#killed) tally.violation('point ended by itself', `${settings.mode}: ${signal ?? code}: ${said}`);
    });
    return point;
  }

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.#port = port;
  }

  /** Asks it what it knows. */
  async state(): Promise<PointState> {
    this.#child.send('state');
    const [answer] = (await once(this.#child, 'message', { signal: AbortSignal.timeout(ANSWER_MS) })) as [PointState];
    for (const position of answer.entries) this.entries.add(position);
    return answer;
  }

  async kill(): Promise<void> {
    this.#killed = true;
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }

  /** How it takes one request over a connection of its own. */
  serve(as: Bearer, roots: readonly string[]): Promise<'served' | 'refused'> {
    return new Promise((resolve) => {
      const asked: ClientRequest = request(
        { ...this.#tls(as, roots), agent: false, path: '/', timeout: ANSWER_MS },
        (answer) => {
          answer.resume();
          resolve(answer.statusCode === 200 ? 'served' : 'refused');
        },
      );
      asked.on('timeout', () => asked.destroy());
      asked.on('error', () => resolve('refused'));
      asked.end();
    });
  }

  /** A connection that was served once and stays open; undefined where it was not served. */
  async connect(as: Bearer, roots: readonly string[]): Promise<TLSSocket | undefined> {
    const socket = connectTls(this.#tls(as, roots));
    socket.on('error', () => undefined);
    socket.write('GET / HTTP/1.1\r\nHost: point\r\n\r\n');
    const [first] = await Promise.race([once(socket, 'data'), once(socket, 'close')]);
    if (Buffer.isBuffer(first) && first.toString().startsWith('HTTP/1.1 200')) return socket;
    socket.destroy();
    return undefined;
  }

  #tls(as: Bearer, roots: readonly string[]) {
    return {
      ...{ host: '127.0.0.1', port: this.#port, ca: [...roots], checkServerIdentity: () => undefined },
      key: as.key.export({ type: 'pkcs8', format: 'pem' }) as string,
      cert: [as.certificate, ...as.chain].join(''),
    };
  }
}
