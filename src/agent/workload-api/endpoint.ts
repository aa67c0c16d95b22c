import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { isWritError } from '../../base/error.ts';
import { normaliseAuthority } from '../../grpc/authority.ts';
import { DEFAULT_GRPC_LIMITS, type GrpcLimits } from '../../grpc/limits.ts';
import type { ProtoFile } from '../../grpc/proto.ts';
import { reflectionMethods } from '../../grpc/reflection.ts';
import { GrpcServer } from '../../grpc/server.ts';
import type { ServerMethod } from '../../grpc/server-method.ts';
import { createConcurrency } from '../../http/concurrency.ts';
import type { WorkloadFault } from '../../wire/workload-refusal.ts';
import { statusOf } from '../failure.ts';
import type { CallerProcess, ProcessEnd, ProcessTable } from '../process/table.ts';

export interface EndpointParts {
  readonly processes: ProcessTable;
  readonly methods: readonly ServerMethod<CallerProcess>[];
  /** What tools may ask about. */
  readonly files: readonly ProtoFile[];
  /** What is served beside, as far as it is used: tools hear the names alone. */
  readonly services: readonly ProtoFile[];
  /** Told of a connection that nobody can be held to, before it is closed. */
  readonly refused: (refusal: { readonly uid: number; readonly fault: WorkloadFault }) => void;
  /** Told of what is no fault of a caller. */
  readonly failed: (error: unknown) => void;
}

/** Connections of one user, and of all, at once; each takes a descriptor, and so does its process. */
const CONNECTIONS = { perCaller: 16_384, all: 65_536 };
/** Calls, streams above all, of one user and of all. */
const CALLS = { perCaller: 32_768, all: 65_536 };
/** Descriptors that the daemon needs for itself. */
const OWN_DESCRIPTORS = 128;

/**
 * A caller with ten thousand identities gets them in one message, of some 25 MB, and may take its time over it. Streams
 * that say nothing for hours are what the standard has in mind.
 */
const LIMITS: GrpcLimits = {
  ...DEFAULT_GRPC_LIMITS,
  idleTimeout: 0,
  waiting: 256 * 1024,
  sessionMemory: 512,
};

/** The SPIFFE Workload Endpoint: gRPC to whoever connects, who is known by the process that did. */
export class Endpoint {
  readonly #parts: EndpointParts;
  readonly #grpc: GrpcServer<CallerProcess>;
  /** Open connections by the process that made them. */
  readonly #sockets = new Map<string, Set<Socket>>();
  readonly #connections = createConcurrency(connectionsWithin(descriptors()));

  constructor(parts: EndpointParts, calls: typeof CALLS = CALLS) {
    this.#parts = parts;
    const open = createConcurrency(calls);
    this.#grpc = new GrpcServer<CallerProcess>({
      methods: [...parts.methods, ...reflectionMethods<CallerProcess>(parts.files, parts.services)],
      limits: LIMITS,
      room({ uid }) {
        const user = String(uid);
        return open.enter(user) === 'ok' ? () => open.leave(user) : undefined;
      },
      failure: (error) => {
        if (!isWritError(error) || statusOf(error).code === 'internal') parts.failed(error);
        return statusOf(error);
      },
    });
  }

  /** Takes a connection. One whose process has ended already is closed. */
  accept(socket: Socket): void {
    const { processes, refused } = this.#parts;
    const descriptor = descriptorOf(socket);
    const process = descriptor === undefined ? undefined : processes.accept(descriptor);
    if (process === undefined) {
      if (descriptor !== undefined) refused(processes.refusalOf(descriptor));
      socket.destroy();
      return;
    }
    const user = String(process.uid);
    if (this.#connections.enter(user) !== 'ok') {
      processes.release(process);
      socket.destroy();
      return;
    }
    const sockets = this.#sockets.get(process.key) ?? new Set();
    this.#sockets.set(process.key, sockets.add(socket));
    socket.once('close', () => {
      sockets.delete(socket);
      if (sockets.size === 0) this.#sockets.delete(process.key);
      this.#connections.leave(user);
      processes.release(process);
    });
    normaliseAuthority(socket, (connection) => this.#grpc.accept(connection, process));
  }

  /** What has become of a process that connected and is not alive any more. */
  endOf(process: CallerProcess): ProcessEnd {
    const sockets = [...(this.#sockets.get(process.key) ?? [])].map(descriptorOf);
    return this.#parts.processes.endOf(
      process,
      sockets.filter((one) => one !== undefined),
    );
  }

  close(): Promise<void> {
    return this.#grpc.close(1000);
  }
}

/** As many connections as there are descriptors for, of which no user gets more than half. */
export function connectionsWithin(files: number): typeof CONNECTIONS {
  const all = Math.min(CONNECTIONS.all, Math.max(2, Math.floor((files - OWN_DESCRIPTORS) / 2)));
  return { perCaller: Math.min(CONNECTIONS.perCaller, Math.floor(all / 2)), all };
}

/** Descriptors that this process may have. */
function descriptors(): number {
  const [, most] = /^Max open files +(\d+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'latin1')) ?? [];
  return most === undefined || most === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(most);
}

/** Nothing public of Node gives the descriptor of a socket. */
export function descriptorOf(socket: Socket): number | undefined {
  const fd = (socket as unknown as { readonly _handle?: { readonly fd?: number } })._handle?.fd;
  return typeof fd === 'number' && fd >= 0 ? fd : undefined;
}
