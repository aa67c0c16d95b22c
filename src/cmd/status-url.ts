import { createServer } from 'node:net';
import { hostAndPort, splitAddress } from './config/address.ts';
import type { Config } from './config/config.ts';

/** Where the plain listener is by default. */
const USUAL_PORT = 8480;

/**
 * Where relying parties find lists, responder and issuers' certificates; it stands in every certificate. Where the
 * listener takes any free port (`:0`) and none runs, that is not known: the usual one is named then.
 */
export function statusUrlOf({ statusUrl, names, listen }: Pick<Config, 'statusUrl' | 'names' | 'listen'>): string {
  return statusUrl ?? `http://${hostAndPort(names[0]!, splitAddress(listen.plain).port || USUAL_PORT)}`;
}

/** Addresses to listen at. */
export interface SettledListen {
  readonly listen: Config['listen'];
  /** Set where the plain port was found here and is held: to be called once the server listens, or does not begin. */
  readonly release?: () => void;
}

/**
 * The addresses, with a port of one's own in place of port 0 of the plain listener: certificates are to name it before anybody
 * listens there. It is held until then. Otherwise another server of the same user could get it in between, and the two would
 * share it silently (`SO_REUSEPORT`), each breaking off some of the other's connections.
 */
export async function settlePlain(listen: Config['listen']): Promise<SettledListen> {
  const { host, port } = splitAddress(listen.plain);
  if (port !== 0) return { listen };
  // Nobody knows of it yet; whoever comes all the same is turned away.
  const holder = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    holder.once('error', reject);
    holder.listen({ host, port: 0, reusePort: true }, resolve);
  });
  holder.unref();
  const { port: free } = holder.address() as { port: number };
  return { listen: { ...listen, plain: hostAndPort(host, free) }, release: () => void holder.close() };
}
