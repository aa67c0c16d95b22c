import type { PeerCertificate, TLSSocket } from 'node:tls';
import { WritError } from '../base/error.ts';
import { parseSpiffeId, type SpiffeId } from '../spiffe-id/spiffe-id.ts';
import { parseCertificate } from '../x509/certificate.ts';
import { findExtension } from '../x509/extension.ts';
import { decodeSubjectAltName, SUBJECT_ALT_NAME } from '../x509/extensions/subject-alt-name.ts';

/**
 * Whom to accept at the other end. A text is an id: whole (`spiffe://…`), or its path within the own trust domain, in
 * which a last segment `*` stands for any one segment (`agent/planner/*`: every instance of planner). A function
 * decides for itself; the chain has been verified before it is asked.
 */
export type PeerRule = string | readonly string[] | ((id: SpiffeId) => boolean);

/** Turns a rule into a function. Throws `bad_spiffe_id` where a text could match nothing. */
export function compileRule(rule: PeerRule, trustDomain: string): (id: SpiffeId) => boolean {
  if (typeof rule === 'function') return rule;
  const tests = (typeof rule === 'string' ? [rule] : rule).map((text) => compileText(text, trustDomain));
  return (id) => tests.some((test) => test(id));
}

function compileText(text: string, trustDomain: string): (id: SpiffeId) => boolean {
  const uri = text.startsWith('spiffe://') ? text : `spiffe://${trustDomain}/${text}`;
  if (!uri.endsWith('/*')) {
    parseSpiffeId(uri, 'allow');
    return (id) => id.uri === uri;
  }
  const parent = parseSpiffeId(uri.slice(0, -2), 'allow');
  return (id) => id.segments.length === parent.segments.length + 1 && id.uri.startsWith(`${parent.uri}/`);
}

/**
 * The SPIFFE ID in a certificate: its one URI name (X.509-SVID §2). Throws `bad_spiffe_id` when there is none or more
 * than one. Says nothing about whether the certificate is to be trusted.
 */
export function spiffeIdOf(der: Uint8Array): SpiffeId {
  const extension = findExtension(parseCertificate(der).extensions, SUBJECT_ALT_NAME);
  const uris =
    extension === undefined ? [] : decodeSubjectAltName(extension.value).filter((name) => name.kind === 'uri');
  const [name] = uris;
  if (uris.length !== 1 || name === undefined) {
    throw new WritError('bad_spiffe_id', 'The certificate does not carry exactly one URI name.', {
      remedy: 'The peer needs an X.509-SVID.',
    });
  }
  return parseSpiffeId(name.value);
}

/**
 * Who is at the other end of a TLS connection. Gives `undefined` when the peer sent no certificate or its chain did not
 * verify.
 */
export function peerOf(socket: TLSSocket): SpiffeId | undefined {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined || !socket.authorized) return undefined;
  return spiffeIdOf(certificate.raw);
}

/** `checkServerIdentity` of `node:tls`: accepts by SPIFFE ID in place of the host name. */
export function checkPeer(
  allowed: (id: SpiffeId) => boolean,
): (host: string, peer: PeerCertificate) => Error | undefined {
  return (_host, peer) => {
    try {
      const id = spiffeIdOf(peer.raw);
      if (allowed(id)) return undefined;
      return new WritError('denied', `The peer is ${id.uri}, which is not allowed here.`, { field: 'allow' });
    } catch (error) {
      return error as Error;
    }
  };
}
