import { constants } from 'node:crypto';
import type { ServerOptions } from 'node:https';
import type { SecureContextOptions } from 'node:tls';

/** What a TLS server shows and trusts, all in PEM. */
export interface TlsIdentity {
  readonly key: string;
  /** The server's certificate and the authorities above it without the root, in that order: what is sent. */
  readonly chain: string;
  /**
   * Roots and the intermediate and issuing authorities below them, by which client certificates are verified. With the
   * latter a client that sends its certificate alone is verified, too. Empty where no certificate is asked for.
   */
  readonly trusted: readonly string[];
}

/**
 * Signature algorithms of TLS in the server's order. ECDSA stands first: left to itself OpenSSL prefers ML-DSA, which
 * makes a handshake five times as long. The last two cannot sign a handshake; they allow RSA chains above a client.
 */
const SIGNATURE_ALGORITHMS =
  'ECDSA+SHA256:ECDSA+SHA384:ed25519:mldsa44:mldsa65:mldsa87:rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:' +
  'RSA+SHA256:RSA+SHA384';

/**
 * The context of every TLS server of Writ; also what `setSecureContext` must get, which forgets everything it is not
 * given again. No tickets: a resumed session would carry on a verification made before a revocation. Key exchange stays
 * at Node's default, the X25519MLKEM768 hybrid with classical groups behind it.
 */
export function secureContext(identity: TlsIdentity): SecureContextOptions {
  return {
    key: identity.key,
    cert: identity.chain,
    ...(identity.trusted.length === 0 ? {} : { ca: [...identity.trusted] }),
    minVersion: 'TLSv1.3',
    secureOptions: constants.SSL_OP_NO_TICKET,
    sigalgs: SIGNATURE_ALGORITHMS,
  };
}

/**
 * Options of a TLS server. With `askForCertificate` a client may present one; a bad one does not end the connection,
 * so that the answer can say what is wrong with it and public routes stay reachable with an expired certificate.
 */
export function tlsServerOptions(identity: TlsIdentity, askForCertificate: boolean): ServerOptions {
  return {
    ...secureContext(identity),
    requestCert: askForCertificate,
    rejectUnauthorized: false,
    handshakeTimeout: 10_000,
  };
}
