import { chmodSync, linkSync, lstatSync, mkdirSync, rmSync, type Stats, statSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { WritError } from '../../base/error.ts';

export interface SocketOptions {
  readonly path: string;
  /** Mode of the socket: who of this machine may connect. */
  readonly mode: number;
  /** Mode of its directory where that is made. */
  readonly directoryMode: number;
  /** Takes each connection. */
  readonly accept: (socket: Socket) => void;
  /** Told when somebody removed the socket, and it was made again. */
  readonly restored?: () => void;
  /** The name of the setting, for errors. */
  readonly field: string;
}

/** Longest path of a unix socket: `sun_path` of 108 octets with its end, and room for the name that it has at first. */
const LONGEST = 96;
const LOOK_MS = 500;
const ANSWER_MS = 1000;

/**
 * Listens on a unix socket. What a daemon left that was killed is taken away; one that answers is another daemon's, and is
 * left alone. When the socket is removed under its feet, it is made again; connections that it has stay.
 */
export class ListeningSocket {
  readonly #options: SocketOptions;
  readonly #open = new Set<Socket>();
  #server: Server;
  #own: Pick<Stats, 'dev' | 'ino'>;
  #timer: NodeJS.Timeout;
  #mending = false;

  private constructor(options: SocketOptions, server: Server) {
    this.#options = options;
    this.#server = server;
    this.#own = lstatSync(options.path);
    this.#timer = setInterval(() => void this.#look(), LOOK_MS);
    this.#timer.unref();
    this.#take(server);
  }

  /** Throws `bad_config`, `unsafe_permissions` and `locked` (another daemon answers there). */
  static async listen(options: SocketOptions): Promise<ListeningSocket> {
    await prepareSocket(options);
    return new ListeningSocket(options, await listen(options));
  }

  get path(): string {
    return this.#options.path;
  }

  /** Takes no more connections, breaks off those that are left, and removes the socket if it is still this one. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    const there = found(this.#options.path);
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    // What another daemon has put there stays.
    if (there !== undefined && isSame(there, this.#own)) rmSync(this.#options.path, { force: true });
    for (const socket of this.#open) socket.destroy();
    await closed;
  }

  #take(server: Server): void {
    server.on('connection', (socket) => {
      this.#open.add(socket);
      socket.once('close', () => this.#open.delete(socket));
      socket.on('error', () => undefined);
      this.#options.accept(socket);
    });
  }

  async #look(): Promise<void> {
    const there = found(this.#options.path);
    if (this.#mending || (there !== undefined && isSame(there, this.#own))) return;
    // Somebody else listens there now: whoever runs this machine has two daemons, and the newer one has the name.
    if (there !== undefined) return;
    this.#mending = true;
    try {
      prepareDirectory(this.#options);
      const next = await listen(this.#options);
      this.#own = lstatSync(this.#options.path);
      // Takes no more; its connections stay open.
      this.#server.close();
      this.#server = next;
      this.#take(next);
      this.#options.restored?.();
    } catch {
      // Tried again at the next look.
    } finally {
      this.#mending = false;
    }
  }
}

/** Where a socket is to be. */
export type SocketPlace = Pick<SocketOptions, 'path' | 'directoryMode' | 'field'>;

/**
 * Makes the directory of a socket where there is none, and takes away what nobody listens at. Throws as
 * `ListeningSocket.listen` does, which calls it too: whoever spends something that is good once calls it before.
 */
export async function prepareSocket(place: SocketPlace): Promise<void> {
  const { path, field } = place;
  if (!path.startsWith('/') || Buffer.byteLength(path) > LONGEST) {
    throw new WritError('bad_config', 'The socket needs an absolute path of at most 96 octets.', {
      field,
      remedy: 'Give one like /run/writ-agent/public/api.sock.',
    });
  }
  prepareDirectory(place);
  await clear(place);
}

function prepareDirectory({ path, directoryMode, field }: SocketPlace): void {
  const directory = dirname(path);
  const there = found(directory, true);
  if (there === undefined) {
    mkdirSync(directory, { recursive: true, mode: directoryMode });
    chmodSync(directory, directoryMode);
    return;
  }
  if (!there.isDirectory()) {
    throw new WritError('bad_config', 'The directory of the socket is none.', {
      field,
      remedy: `Look at ${directory}.`,
    });
  }
  // Whoever may write there could put a socket of his own in place of this one, and say who is to be believed; in one like
  // /tmp before this one is there.
  const own = process.geteuid!();
  const byOthers = there.uid !== own && there.uid !== 0;
  if (byOthers || (there.mode & 0o022) !== 0) {
    throw new WritError('unsafe_permissions', 'Others can change the directory of the socket.', {
      field,
      remedy:
        (there.mode & 0o1000) === 0
          ? `Run: chmod go-w '${directory}', owned by the user of the daemon`
          : `Name one in a directory of its own, like ${directory}/writ-agent/api.sock`,
    });
  }
}

/** Takes away a socket at which nobody listens. */
async function clear({ path, field }: SocketPlace): Promise<void> {
  const there = found(path);
  if (there === undefined) return;
  if (!there.isSocket()) {
    throw new WritError('bad_config', 'Where the socket is to be there is something else.', {
      field,
      remedy: `Look at ${path}; remove it, or name another path.`,
    });
  }
  if (await answers(path)) {
    throw new WritError('locked', 'Another daemon listens at this socket.', {
      field,
      remedy: `Stop it first, or name another path than ${path}.`,
    });
  }
  rmSync(path, { force: true });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const end = (answer: boolean): void => {
      clearTimeout(late);
      socket.destroy();
      resolve(answer);
    };
    // One whose queue is full is one that listens.
    const late = setTimeout(() => end(true), ANSWER_MS);
    socket.once('connect', () => end(true));
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code === 'EAGAIN' || error.code === 'EACCES'));
  });
}

/**
 * Under a name of its own first, then under the right one: Node removes the first name when it closes, whatever is there by
 * then, and linking takes no name that another daemon has got meanwhile.
 */
function listen({ path, mode, field }: SocketOptions): Promise<Server> {
  const first = `${path}.${process.pid}`;
  return new Promise((resolve, reject) => {
    const server = createServer();
    const fail = (cause: unknown): void => {
      const { code } = cause as NodeJS.ErrnoException;
      server.close();
      reject(
        new WritError(code === 'EEXIST' ? 'locked' : 'bad_config', 'The daemon cannot listen at this path.', {
          field,
          remedy: `See who has ${path}, and whether its directory can be written (${code ?? 'unknown'}).`,
          cause,
        }),
      );
    };
    server.once('error', fail);
    rmSync(first, { force: true });
    server.listen(first, () => {
      try {
        chmodSync(first, mode);
        linkSync(first, path);
        rmSync(first);
        server.off('error', fail);
        resolve(server);
      } catch (error) {
        fail(error);
      }
    });
  });
}

function found(path: string, follow = false): Stats | undefined {
  try {
    return follow ? statSync(path) : lstatSync(path);
  } catch {
    return undefined;
  }
}

function isSame(a: Pick<Stats, 'dev' | 'ino'>, b: Pick<Stats, 'dev' | 'ino'>): boolean {
  return a.dev === b.dev && a.ino === b.ino;
}
