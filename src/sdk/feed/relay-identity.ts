import type { PeerCertificate, TLSSocket } from 'node:tls';
import type { AnyIdentity } from '../identity/any-identity.ts';
import { identityFetch } from '../identity/fetch.ts';
import type { FeedIdentity } from './stream.ts';

/**
 * An identity as it reads the feed from relays, who can be stopped like anybody: `fault` says why whoever has this
 * certificate may not be trusted, `opened` is told of each connection once its peer has been accepted.
 */
export function relayIdentity(
  identity: AnyIdentity,
  {
    fault,
    opened,
  }: { readonly fault: (certificate: Uint8Array) => Error | undefined; readonly opened: (socket: TLSSocket) => void },
): FeedIdentity {
  const clientOptions: FeedIdentity['clientOptions'] = (options) => {
    const given = identity.clientOptions(options);
    const check = given.checkServerIdentity!;
    return {
      ...given,
      checkServerIdentity: (host: string, peer: PeerCertificate) => check(host, peer) ?? fault(peer.raw),
    };
  };
  const shown = {
    get credential() {
      return identity.credential;
    },
    clientOptions,
    opened: (socket: TLSSocket) => socket.once('secureConnect', () => opened(socket)),
  };
  return { clientOptions, opened, fetch: (options) => identityFetch(shown, options) };
}
