import { createServer } from 'node:net';
import { type Config, hostAndPort, splitAddress } from './config.ts';

/** Where the plain listener is by default. */
const USUAL_PORT = 8480;

/**
 * Where relying parties find lists, responder and issuers' certificates; it stands in every certificate. Where the
 * listener takes any free port (`:0`) and none runs, that is not known: the usual one is named then.
 */
export function statusUrlOf({ statusUrl, names, listen }: Pick<Config, 'statusUrl' | 'names' | 'listen'>): string {
  return statusUrl ?? `http://${hostAndPort(names[0]!, splitAddress(listen.plain).port || USUAL_PORT)}`;
}

/** The addresses, with a port that is free now in place of port 0 of the plain listener: certificates are to name it. */
export async function settlePlain(listen: Config['listen']): Promise<Config['listen']> {
  const { host, port } = splitAddress(listen.plain);
  if (port !== 0) return listen;
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port: 0, exclusive: true }, resolve);
  });
  const { port: free } = server.address() as { port: number };
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return { ...listen, plain: hostAndPort(host, free) };
}
