import { isIP, type Socket } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { WritError } from '../../base/error.ts';
import type { AnyIdentity } from '../identity/any-identity.ts';
import type { Credential } from '../identity/credential.ts';
import type { PeerRule } from '../peer/peer.ts';
import type { Verifier } from '../verifier/verifier.ts';

/** How undici asks for a connection (`Agent.Options.connect`). */
export type UndiciConnector = (
  asked: { readonly hostname: string; readonly protocol: string; readonly port: string },
  done: (...answer: [null, Socket | TLSSocket] | [Error, null]) => void,
) => void;

/** What is used of undici's agents. */
export interface UndiciAgentLike {
  close(): Promise<void>;
}

export interface UndiciOptions<A extends UndiciAgentLike> {
  /** undici's own: `import { Agent } from 'undici'`. */
  readonly Agent: new (options: {
    readonly connect: UndiciConnector;
  }) => A;
  /** Whom to accept; absent: by host name. */
  readonly allow?: PeerRule;
  /** Refuses servers that have fallen, and lets go of one that falls. */
  readonly verifier?: Verifier | undefined;
}

/** How long a handshake may take. */
const CONNECT_MS = 10_000;

/**
 * A dispatcher for undici's `fetch`, `request`, `stream` and `WebSocket`, and for the `dispatcher` option of Node's own
 * `fetch` and `WebSocket`: mutual TLS with an identity. After a renewal new calls open new connections with the new
 * certificate, calls under way finish on the old. Make one for each rule, and keep it.
 */
export function undiciDispatcher<A extends UndiciAgentLike>(identity: AnyIdentity, options: UndiciOptions<A>): A {
  const connector = undiciConnector(identity, options);
  const open = (): A => new options.Agent({ connect: connector });
  let [agent, shown, over] = [open(), credentialOf(identity), false];
  const current = (): A => {
    const credential = credentialOf(identity);
    if (over || credential === shown) return agent;
    // Ends when what is under way has.
    agent.close().catch(() => undefined);
    agent = open();
    shown = credential;
    return agent;
  };
  return new Proxy(agent, {
    get(_first, name) {
      const now = current();
      if (name === 'close' || name === 'destroy') over = true;
      const value: unknown = Reflect.get(now, name, now);
      return typeof value === 'function' ? value.bind(now) : value;
    },
  });
}

/** The connections alone, for agents of your own making: `new Agent({ connect: undiciConnector(identity, { allow }) })`. */
export function undiciConnector(
  identity: AnyIdentity,
  { allow, verifier }: Omit<UndiciOptions<UndiciAgentLike>, 'Agent'> = {},
): UndiciConnector {
  const rule = allow === undefined ? {} : { allow };
  // A rule that cannot be is refused here and not at the first call.
  identity.clientOptions(rule);
  return ({ hostname, protocol, port }, done) => {
    const host = hostname.replace(/^\[|\]$/g, '');
    let socket: TLSSocket;
    try {
      if (protocol !== 'https:') throw notHttps();
      socket = connect({
        ...(verifier ?? identity).clientOptions(rule),
        ...{ host, port: port === '' ? 443 : Number(port), ALPNProtocols: ['http/1.1'] },
        ...(isIP(host) === 0 ? { servername: host } : {}),
      });
    } catch (error) {
      done(error as Error, null);
      return;
    }
    const late = setTimeout(
      () => socket.destroy(new WritError('unavailable', 'The handshake took too long.')),
      CONNECT_MS,
    );
    const failed = (error: Error): void => {
      clearTimeout(late);
      done(error, null);
    };
    socket.setNoDelay(true);
    socket.once('error', failed);
    socket.once('secureConnect', () => {
      clearTimeout(late);
      socket.off('error', failed);
      verifier?.track(socket);
      done(null, socket);
    });
  };
}

/** Undefined while the Workload API has taken it back. */
function credentialOf(identity: AnyIdentity): Credential | undefined {
  try {
    return identity.credential;
  } catch {
    return undefined;
  }
}

function notHttps(): WritError {
  return new WritError('bad_request', 'Only https: and wss: can carry an identity.', {
    field: 'url',
    remedy: 'Use https.',
  });
}
