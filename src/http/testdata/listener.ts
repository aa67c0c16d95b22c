import { systemClock } from '../../base/clock.ts';
import { isWritError } from '../../base/error.ts';
import { DEFAULT_LIMITS, type Limits } from '../limits.ts';
import type { Route } from '../route.ts';
import { HttpServer, type ServerOptions } from '../server.ts';
import { type TestAuthority, testAuthority } from './authority.ts';

export interface Listener {
  readonly server: HttpServer;
  readonly port: number;
  readonly root: TestAuthority;
  readonly issuing: TestAuthority;
  readonly ca: string;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A TLS listener on a free loopback port whose problems are `code detail`. */
export async function listener(
  routes: readonly Route[],
  options: { readonly limits?: Partial<Limits>; readonly clients?: ServerOptions['clients'] } = {},
): Promise<Listener> {
  const root = testAuthority();
  const issuing = root.authority('Test Issuing');
  const leaf = issuing.leaf({ uri: 'spiffe://agents.example.com/writ/server', dns: ['localhost'], loopback: true });
  const server = new HttpServer({
    routes,
    tls: { key: leaf.keyPem, chain: leaf.pem + issuing.pem, trusted: [root.pem, issuing.pem] },
    ...(options.clients === undefined ? {} : { clients: options.clients }),
    limits: { ...DEFAULT_LIMITS, ...options.limits },
    clock: systemClock,
    problem: (error, _id, status) => ({
      status: status ?? 500,
      type: 'text/plain',
      body: isWritError(error) ? `${error.code} ${error.message}` : `internal ${error}`,
    }),
  });
  const { port } = await server.listen({ host: '127.0.0.1', port: 0 });
  return { server, port, root, issuing, ca: root.pem, [Symbol.asyncDispose]: () => server.close(100) };
}
