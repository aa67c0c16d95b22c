import type { PeerCertificate } from 'node:tls';
import type { SpiffeId } from '../../spiffe-id/spiffe-id.ts';
import type { AnyIdentity } from '../identity/any-identity.ts';
import { type Credential, pemOf } from '../identity/credential.ts';
import { checkPeer, compileRule, type PeerRule, spiffeIdOf } from '../peer/peer.ts';
import type { Verifier } from '../verifier/verifier.ts';

/*
 * Credentials for `@grpc/grpc-js`, which is handed in: `import * as grpc from '@grpc/grpc-js'`. Types say what is used of it.
 */

type RootsListener = (update: { readonly caCertificate: Buffer } | null) => void;
type IdentityListener = (update: { readonly certificate: Buffer; readonly privateKey: Buffer } | null) => void;

/** A certificate provider of grpc-js: tells its listeners of each certificate as it comes. */
export interface GrpcCertificates {
  addCaCertificateListener(listener: RootsListener): void;
  removeCaCertificateListener(listener: RootsListener): void;
  addIdentityCertificateListener(listener: IdentityListener): void;
  removeIdentityCertificateListener(listener: IdentityListener): void;
}

/** What is used of grpc-js at a client. */
export interface GrpcClientModule<C> {
  readonly experimental: {
    createCertificateProviderChannelCredentials(
      roots: GrpcCertificates,
      identity: GrpcCertificates,
      options: { readonly checkServerIdentity: (host: string, certificate: PeerCertificate) => Error | undefined },
    ): C;
  };
}

/** And at a server. */
export interface GrpcServerModule<C> {
  readonly experimental: {
    createCertificateProviderServerCredentials(
      roots: GrpcCertificates,
      identity: GrpcCertificates,
      requireClientCertificate: boolean,
    ): C;
  };
}

/**
 * Credentials of a channel: shows this identity, its newest certificate at each new connection, and accepts the server by
 * its SPIFFE ID. With a verifier also not one that has fallen. A connection that is open stays on the certificate that it
 * began with: have servers end theirs from time to time (`grpc.max_connection_age_ms`).
 */
export function grpcChannelCredentials<C>(
  grpc: GrpcClientModule<C>,
  identity: AnyIdentity,
  { allow, verifier }: { readonly allow: PeerRule; readonly verifier?: Verifier | undefined },
): C {
  const certificates = grpcCertificates(identity);
  const check = checkPeer(compileRule(allow, identity.trustDomain));
  return grpc.experimental.createCertificateProviderChannelCredentials(certificates, certificates, {
    checkServerIdentity: (host, certificate) => {
      const fault = check(host, certificate);
      if (fault !== undefined || verifier === undefined) return fault;
      const decision = verifier.authorizeCertificate(certificate.raw);
      return decision.allowed ? undefined : new Error(`The server may not be trusted now: ${decision.reason}.`);
    },
  });
}

/** Credentials of a server that demands a client certificate of the same authority. Guard its methods with `grpcGuard`. */
export function grpcServerCredentials<C>(grpc: GrpcServerModule<C>, identity: AnyIdentity): C {
  const certificates = grpcCertificates(identity);
  return grpc.experimental.createCertificateProviderServerCredentials(certificates, certificates, true);
}

/** The certificates alone, for credentials of your own making. */
export function grpcCertificates(identity: AnyIdentity): GrpcCertificates {
  const [roots, identities] = [new Set<RootsListener>(), new Set<IdentityListener>()];
  const tell = (): void => {
    const credential = credentialOf(identity);
    for (const listener of roots) listener(rootsUpdate(identity));
    for (const listener of identities) listener(identityUpdate(credential));
  };
  // Followed only while somebody listens, so that credentials that are dropped can go.
  const look = (): void => {
    for (const event of ['renewed', 'ended'] as const) identity.off(event, tell);
    if (roots.size + identities.size === 0) return;
    for (const event of ['renewed', 'ended'] as const) identity.on(event, tell);
  };
  return {
    addCaCertificateListener(listener) {
      roots.add(listener);
      look();
      queueMicrotask(() => listener(rootsUpdate(identity)));
    },
    removeCaCertificateListener(listener) {
      roots.delete(listener);
      look();
    },
    addIdentityCertificateListener(listener) {
      identities.add(listener);
      look();
      queueMicrotask(() => listener(identityUpdate(credentialOf(identity))));
    },
    removeIdentityCertificateListener(listener) {
      identities.delete(listener);
      look();
    },
  };
}

/** A call, or what an interceptor sees of one: what tells who is at the other end, once the chain was verified. */
export interface GrpcCallLike {
  getAuthContext(): { readonly sslPeerCertificate?: { readonly raw: Buffer } } | null;
}

/** Who is at the other end of a call; undefined without a certificate that was verified and names somebody. */
export function grpcPeer(call: GrpcCallLike): SpiffeId | undefined {
  const certificate = call.getAuthContext()?.sslPeerCertificate;
  if (certificate === undefined) return undefined;
  try {
    return spiffeIdOf(certificate.raw);
  } catch {
    return undefined;
  }
}

interface InterceptedCall extends GrpcCallLike {
  sendStatus(status: { readonly code: number; readonly details: string }): void;
}

interface Listener {
  readonly onReceiveMetadata?: (metadata: never, next: (metadata: never) => void) => void;
  readonly onCancel?: () => void;
}

interface Responder {
  readonly start: (next: (listener?: Listener) => void) => void;
  readonly sendStatus: (status: never, next: (status: never) => void) => void;
}

/** What is used of grpc-js to stand before the methods of a server. */
export interface GrpcInterceptorModule<K extends InterceptedCall, I> {
  readonly ServerInterceptingCall: new (call: K, responder: never) => I;
}

/** Wire values (gRPC "Status codes and their use"). */
const PERMISSION_DENIED = 7;
const UNAVAILABLE = 14;

/**
 * An interceptor that asks the verifier for each call, and ends the calls under way of whoever falls:
 * `new grpc.Server({ interceptors: [grpcGuard(grpc, verifier, { allow })] })`. Refuses with `PERMISSION_DENIED`, while the
 * feed is too old with `UNAVAILABLE`. Make one for each server.
 */
export function grpcGuard<K extends InterceptedCall, I>(
  grpc: GrpcInterceptorModule<K, I>,
  verifier: Verifier,
  options: { readonly allow: PeerRule },
): (method: unknown, call: K) => I {
  const open = new Set<K>();
  const refused = (call: K): boolean => {
    const certificate = call.getAuthContext()?.sslPeerCertificate;
    const decision =
      certificate === undefined
        ? ({ allowed: false, reason: 'no_identity' } as const)
        : verifier.authorizeCertificate(certificate.raw, options);
    if (decision.allowed) return false;
    open.delete(call);
    const code = decision.reason === 'stale' ? UNAVAILABLE : PERMISSION_DENIED;
    call.sendStatus({ code, details: `refused: ${decision.reason}` });
    return true;
  };
  const lookAgain = (): void => {
    for (const call of [...open]) refused(call);
  };
  verifier.on('entry', lookAgain);
  verifier.on('alarm', lookAgain);
  return (_method, call) => {
    const responder: Responder = {
      start(next) {
        next({
          onReceiveMetadata(metadata, pass) {
            if (refused(call)) return;
            open.add(call);
            pass(metadata);
          },
          onCancel: () => open.delete(call),
        });
      },
      sendStatus(status, next) {
        open.delete(call);
        next(status);
      },
    };
    return new grpc.ServerInterceptingCall(call, responder as never);
  };
}

function credentialOf(identity: AnyIdentity): Credential | undefined {
  try {
    return identity.credential;
  } catch {
    return undefined;
  }
}

function rootsUpdate({ roots }: AnyIdentity): { readonly caCertificate: Buffer } {
  return { caCertificate: Buffer.from(roots.join('')) };
}

function identityUpdate(credential: Credential | undefined) {
  if (credential === undefined) return null;
  const { key, chain } = pemOf(credential);
  return { certificate: Buffer.from(chain), privateKey: Buffer.from(key) };
}
