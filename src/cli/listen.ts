import { once } from 'node:events';
import type { Server } from 'node:https';
import { WritError } from '../base/error.ts';

/** Where a command listens. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
  /** The flag that said so, for errors. */
  readonly flag: string;
}

/** Host and port as a flag has them. Throws `bad_request`. */
export function parseListenAddress(text: string, flag: string): ListenAddress {
  const [, host, port] = /^(\[[0-9A-Fa-f:]+\]|[^:[\]\s]+):(\d{1,5})$/.exec(text) ?? [];
  if (host !== undefined && Number(port) < 65_536) {
    return { host: host.replaceAll(/[[\]]/g, ''), port: Number(port), flag };
  }
  throw new WritError('bad_request', 'That is no address to listen at', {
    field: flag,
    remedy: 'Give host and port, like 0.0.0.0:9443 or [::]:9443.',
  });
}

/** Resolves when the server listens. Throws `bad_config` where it cannot. */
export async function listenAt(server: Server, { host, port, flag }: ListenAddress): Promise<void> {
  server.listen({ host, port });
  await once(server, 'listening').catch((cause: unknown) => {
    throw new WritError('bad_config', 'The relay cannot listen at this address', {
      field: flag,
      remedy: 'Give an address of this machine with a free port.',
      cause,
    });
  });
}

/** Closes a server with all its connections. */
export async function closeServer(server: Server): Promise<void> {
  const done = new Promise((resolve) => server.close(resolve));
  server.closeAllConnections();
  await done;
}
