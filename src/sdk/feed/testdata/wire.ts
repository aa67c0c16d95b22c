/** The wire between a verifier and its server, for tests that cut it, freeze it or lead it to another server. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface FeedWire {
  /** `https://host:port` to give to a verifier. */
  readonly server: string;
  /** Breaks all connections and takes no more. */
  cut(): void;
  /** Takes connections again, to this server from now on (`https://host:port`). */
  mend(server: string): void;
  close(): void;
}

export async function feedWire(to: string): Promise<FeedWire> {
  let target: URL | undefined = new URL(to);
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    if (target === undefined) {
      near.destroy();
      return;
    }
    const far = connect(Number(target.port), '127.0.0.1');
    for (const [one, other] of [[near, far] as const, [far, near] as const]) {
      sockets.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const cut = (): void => {
    target = undefined;
    for (const socket of sockets) socket.destroy();
  };
  return {
    server: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut,
    mend(next) {
      target = new URL(next);
    },
    close() {
      cut();
      server.close();
    },
  };
}
