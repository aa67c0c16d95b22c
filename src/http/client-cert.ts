import type { TLSSocket } from 'node:tls';
import type { Caller } from '../base/access.ts';
import { WritError } from '../base/error.ts';

/** What a client presented in the handshake. */
export interface Presented {
  /** DER, as sent: the client's certificate first, then whatever it sent along. Not a verified path. */
  readonly chain: readonly Uint8Array[];
  /** Undefined when OpenSSL verified a path to a trusted certificate, for client use; else its code for why not. */
  readonly fault: string | undefined;
}

/** Who a verified certificate names, and when it holds. */
export interface Peer {
  readonly caller: Caller;
  /** Milliseconds; good from `notBefore` to before `notAfter`. */
  readonly notBefore: number;
  readonly notAfter: number;
}

/** Verifies what was presented, once a connection. Throws `WritError` when it names nobody here. */
export type Identify = (presented: Presented) => Peer;

/**
 * The standing of a caller's certificate at this moment, asked for each request. Undefined when it is good; else what
 * the caller is told: `revoked`, `inactive`, or `unavailable` when it cannot be known.
 */
export type Standing = (caller: Caller) => WritError | undefined | Promise<WritError | undefined>;

/** Why a certificate is not good that its holder has replaced itself: it may ask again for the answer that it lost. */
export class Superseded extends WritError {
  constructor(message: string, remedy: string) {
    super('revoked', message, { remedy });
  }
}

/** The outcome of the one verification of a connection. `none`: no certificate was presented. */
export type Identity = Peer | WritError | 'none';

/** Reads and verifies the certificate of a connection. Never throws. */
export function identityOf(socket: TLSSocket, identify: Identify): Identity {
  try {
    const certificate = socket.getPeerX509Certificate();
    if (certificate === undefined) return 'none';
    const chain: Uint8Array[] = [];
    for (let next: typeof certificate | undefined = certificate; next !== undefined; next = next.issuerCertificate) {
      chain.push(next.raw);
      if (chain.length > LONGEST_CHAIN) throw notAuthenticated('is at the end of a chain that is too long');
    }
    // Decided on `authorized`, never on the absence of an error: without `requestCert` there is none.
    const fault = socket.authorized ? undefined : String(socket.authorizationError ?? 'not verified');
    return identify({ chain, fault });
  } catch (error) {
    return error instanceof WritError ? error : notAuthenticated('could not be read');
  }
}

const LONGEST_CHAIN = 8;

/**
 * Who is calling, as of `now`. Throws why nobody is: no certificate, one that names nobody here, one out of its time,
 * or one that does not stand any more.
 */
export function authenticate(identity: Identity, now: number, standing: Standing): Caller | Promise<Caller> {
  if (identity === 'none') {
    throw new WritError('not_authenticated', 'No client certificate was presented.', {
      remedy: 'Present the certificate of an agent, service or operator of this installation.',
    });
  }
  if (identity instanceof WritError) throw identity;
  if (now >= identity.notAfter) throw notAuthenticated('has expired');
  if (now < identity.notBefore) throw notAuthenticated('is not valid yet');
  const fault = standing(identity.caller);
  if (fault === undefined) return identity.caller;
  if (fault instanceof WritError) throw fault;
  return fault.then((late) => {
    if (late !== undefined) throw late;
    return identity.caller;
  });
}

function notAuthenticated(fault: string): WritError {
  return new WritError('not_authenticated', `The client certificate ${fault}.`, {
    remedy: 'Enrol again with a join token, or present another certificate.',
  });
}
