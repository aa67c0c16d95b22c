import { createServer, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { isWritError, WritError } from '../base/error.ts';
import type { Native } from './process/native.ts';
import { descriptorOf } from './workload-api/endpoint.ts';

export interface AdminParts {
  readonly native: Native;
  /** Rejects with a `WritError` where there is no such process. */
  readonly why: (pid: number) => Promise<object>;
  readonly status: () => object;
}

/**
 * What those hear who run this machine: the user of the daemon and root. On a socket of its own, since what was seen of one
 * process is not for another, and since a container may have been given the directory of the other socket.
 */
export class AdminEndpoint {
  readonly #native: Native;
  readonly #server: Server;

  constructor({ native, why, status }: AdminParts) {
    this.#native = native;
    this.#server = createServer((request, response) => {
      const answer = (code: number, body: object): void => {
        response.writeHead(code, { 'content-type': 'application/json' });
        response.end(JSON.stringify(body));
      };
      const [, pid] = /^\/why\/([1-9]\d{0,9})$/.exec(request.url ?? '') ?? [];
      const asked = async (): Promise<object> => {
        if (request.method === 'GET' && pid !== undefined) return why(Number(pid));
        if (request.method === 'GET' && request.url === '/status') return status();
        throw new WritError('not_found', 'There is no such thing to ask the daemon.');
      };
      asked().then(
        (body) => answer(200, body),
        (error: unknown) => {
          const { code, message, remedy } = isWritError(error)
            ? error
            : new WritError('internal', 'The daemon failed.');
          answer(code === 'not_found' ? 404 : 500, { code, message, remedy });
        },
      );
    });
    this.#server.headersTimeout = 5000;
  }

  accept(socket: Socket): void {
    const descriptor = descriptorOf(socket);
    const uid = descriptor === undefined ? undefined : this.#native.peerCredentials(descriptor).uid;
    if (uid !== 0 && uid !== process.geteuid!()) socket.destroy();
    else this.#server.emit('connection', socket);
  }

  close(): void {
    this.#server.closeAllConnections();
  }
}
