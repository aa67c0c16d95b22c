import type { Caller } from '../base/access.ts';
import { isWritError, WritError } from '../base/error.ts';
import { sha256 } from '../base/sha256.ts';
import type { Authority } from '../ca/authority.ts';
import type { Identify, Peer } from '../http/client-cert.ts';
import { parseSpiffeId } from '../spiffe-id/spiffe-id.ts';
import { subjectOf } from '../spiffe-id/subject.ts';
import type { TrustDomain } from '../spiffe-id/trust-domain.ts';
import { type Certificate, parseCertificate } from '../x509/certificate.ts';
import { findExtension } from '../x509/extension.ts';
import { decodeSubjectAltName, SUBJECT_ALT_NAME } from '../x509/extensions/subject-alt-name.ts';
import { RFC5280 } from '../x509/path/policy.ts';
import { validatePath } from '../x509/path/validate.ts';

export interface IdentifyParts {
  readonly trustDomain: TrustDomain;
  /** As this process has them now. */
  authorities(): readonly Authority[];
  now(): number;
  /** Told of a certificate that can be read and is not accepted. */
  refused?(leaf: Certificate): void;
}

/**
 * Turns a client certificate into a caller. OpenSSL has verified it in the handshake; our own path validation judges it
 * again, because OpenSSL's alone is not enough for name constraints, and both must accept it. Once for each connection;
 * dates and standing are looked at again for each request.
 */
export function identifyClients(parts: IdentifyParts): Identify {
  return ({ chain, fault }) => {
    const leaf = parsed(chain[0]!);
    try {
      if (fault !== undefined)
        throw refused(HANDSHAKE_FAULTS[fault] ?? 'does not lead to the root of this installation');
      verify(leaf, chain.slice(1).map(parsed), parts);
      return peerOf(leaf, parts.trustDomain);
    } catch (error) {
      parts.refused?.(leaf);
      throw error;
    }
  };
}

function verify(leaf: Certificate, sent: readonly Certificate[], parts: IdentifyParts): void {
  const authorities = parts.authorities();
  const anchors = authorities.filter(({ kind }) => kind === 'root').map(({ certificate }) => certificate);
  const ours = authorities.filter(({ kind }) => kind !== 'root').map(({ certificate }) => certificate);
  const result = validatePath({
    leaf,
    intermediates: [...ours, ...sent],
    anchors,
    at: parts.now(),
    policy: RFC5280,
    purpose: 'client',
    keyUsage: 'digitalSignature',
  });
  if (!result.valid) throw refused(`was not accepted: ${result.detail}`);
}

/** X509-SVID §5.2: exactly one URI, and it names an agent, a service or an operator of this trust domain. */
function peerOf(leaf: Certificate, trustDomain: TrustDomain): Peer {
  const names = findExtension(leaf.extensions, SUBJECT_ALT_NAME);
  const uris = names === undefined ? [] : decodeSubjectAltName(names.value).filter(({ kind }) => kind === 'uri');
  const [uri] = uris;
  if (uri === undefined || uris.length !== 1 || typeof uri.value !== 'string')
    throw refused('has not exactly one SPIFFE ID');
  const id = parseSpiffeId(uri.value);
  const subject = subjectOf(id, trustDomain);
  if (subject === undefined || subject.kind === 'server' || subject.kind === 'responder')
    throw refused('names nobody who can call');
  const common = { id: id.uri, serial: leaf.serial, spkiHash: sha256(leaf.spki) };
  const caller: Caller =
    subject.kind === 'operator'
      ? { kind: 'operator', ...common, operator: subject.name }
      : { kind: subject.kind, ...common, agent: subject.name, instance: subject.instance };
  return { caller, notBefore: leaf.notBefore, notAfter: leaf.notAfter };
}

function parsed(der: Uint8Array): Certificate {
  try {
    return parseCertificate(der);
  } catch (error) {
    throw refused(isWritError(error) ? 'or one sent with it is malformed' : 'could not be read');
  }
}

/** What OpenSSL calls them, in words that help. */
const HANDSHAKE_FAULTS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'has expired',
  CERT_NOT_YET_VALID: 'is not valid yet',
  INVALID_PURPOSE: 'is not for clients',
};

function refused(fault: string): WritError {
  return new WritError('not_authenticated', `The client certificate ${fault}.`, {
    remedy: 'Enrol again with a join token, or present a certificate of this installation.',
  });
}
