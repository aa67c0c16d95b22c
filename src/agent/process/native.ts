import { dlopen } from 'node:ffi';
import { WritError } from '../../base/error.ts';

/** Who is at the other end of a unix socket, as the kernel says. */
export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** The few calls of Linux that Node has no word for. */
export interface Native {
  /** SO_PEERCRED: of the moment of `connect()`. Throws where there is none to be had. */
  peerCredentials(socket: number): PeerCredentials;
  /** SO_PEERPIDFD (Linux 6.5): a descriptor of that very process, to be closed; undefined where there is none. */
  peerProcess(socket: number): number | undefined;
  /** `pidfd_open` (Linux 5.3): of whatever process has this id now; undefined where there is none. */
  openProcess(pid: number): number | undefined;
  /** Which of these processes have ended, in one call; undefined where the kernel does not say. */
  ended(processes: readonly number[]): readonly boolean[] | undefined;
  /** Whether nobody holds the other end of a unix socket any more; undefined where the kernel does not say. */
  hungUp(socket: number): boolean | undefined;
  /** Makes this process neither dumped nor traced by others of its user. */
  forbidDumps(): void;
}

const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const SO_PEERPIDFD = 77;
const SYS_PIDFD_OPEN = 434n;
const PR_SET_DUMPABLE = 4;
const POLLIN = 1;
/** Nobody is at the other end (POLLHUP), or this end is closed (POLLNVAL). */
const OVER = 0x10 | 0x20;
/** `struct pollfd`: descriptor, asked, told. */
const POLLFD = 8;
/** A signal to this process in the very moment makes the kernel give up (EINTR) and says nothing of whom it was asked about. */
const POLL_TRIES = 64;

/** Opens the C library that Node itself runs on. Throws `bad_config` elsewhere than on Linux. */
export function openNative(): Native {
  if (process.platform !== 'linux' || (process.arch !== 'x64' && process.arch !== 'arm64')) {
    throw new WritError('bad_config', 'Callers of a socket can be told apart on Linux alone (x86-64 and arm64).', {
      remedy: 'Run "writ agent" on Linux; elsewhere use "writ run" or the client library.',
    });
  }
  // Kept for as long as its functions are: they end with it.
  const library = dlopen(null, {
    getsockopt: { arguments: ['int32', 'int32', 'int32', 'buffer', 'buffer'], return: 'int32' },
    poll: { arguments: ['buffer', 'uint64', 'int32'], return: 'int32' },
    syscall: { arguments: ['int64', 'int64', 'int64'], return: 'int64' },
    prctl: { arguments: ['int32', 'uint64', 'uint64', 'uint64', 'uint64'], return: 'int32' },
  });
  const { functions } = library;
  const option = (socket: number, name: number, size: number): Buffer | undefined => {
    const [value, length] = [Buffer.alloc(size), Buffer.alloc(4)];
    length.writeUInt32LE(size);
    return functions.getsockopt(socket, SOL_SOCKET, name, value, length) === 0 ? value : undefined;
  };
  const poll = (descriptors: readonly number[], events: number): readonly number[] | undefined => {
    if (descriptors.length === 0) return [];
    const asked = Buffer.alloc(descriptors.length * POLLFD);
    descriptors.forEach((descriptor, at) => {
      asked.writeInt32LE(descriptor, at * POLLFD);
      asked.writeInt16LE(events, at * POLLFD + 4);
    });
    for (let tries = 0; tries < POLL_TRIES; tries++) {
      if (functions.poll(asked, BigInt(descriptors.length), 0) < 0) continue;
      return descriptors.map((_descriptor, at) => asked.readInt16LE(at * POLLFD + 6));
    }
    return undefined;
  };
  return {
    peerCredentials(socket) {
      const value = option(socket, SO_PEERCRED, 12);
      if (value === undefined) throw new WritError('internal', 'The kernel does not say who is at the other end.');
      return { pid: value.readInt32LE(0), uid: value.readUInt32LE(4), gid: value.readUInt32LE(8) };
    },
    peerProcess: (socket) => option(socket, SO_PEERPIDFD, 4)?.readInt32LE(0),
    openProcess(pid) {
      const descriptor = Number(functions.syscall(SYS_PIDFD_OPEN, BigInt(pid), 0n));
      return descriptor < 0 ? undefined : descriptor;
    },
    // Whatever was told of one counts, also that it is no descriptor: nothing is believed of it then.
    ended: (processes) => poll(processes, POLLIN)?.map((told) => told !== 0),
    hungUp(socket) {
      const told = poll([socket], 0);
      return told === undefined ? undefined : (told[0]! & OVER) !== 0;
    },
    forbidDumps() {
      functions.prctl(PR_SET_DUMPABLE, 0n, 0n, 0n, 0n);
    },
  };
}
