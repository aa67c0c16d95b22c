import { createHash } from 'node:crypto';
import type { PeerCertificate, TLSSocket } from 'node:tls';
import { WritError } from '../../base/error.ts';
import { parseSpiffeId, type SpiffeId } from '../../spiffe-id/spiffe-id.ts';
import { parseCertificate } from '../../x509/certificate.ts';
import { leafId } from '../../x509/svid.ts';

/**
 * Whom to accept at the other end. A text is an id: whole (`spiffe://…`), or its path within the own trust domain, in
 * which a last segment `*` stands for any one segment (`agent/planner/*`: every instance of planner). A list accepts
 * what any of its texts does. A function decides for itself, and accepts only by answering `true`; the chain has been
 * verified before it is asked.
 */
export type PeerRule = string | readonly string[] | ((id: SpiffeId) => boolean);

/** A rule as a function. It never throws: a rule that fails refuses. */
export type PeerTest = (id: SpiffeId) => boolean;

/** Throws `bad_spiffe_id` where a text of the rule could match nothing. */
export function compileRule(rule: PeerRule, trustDomain: string): PeerTest {
  if (typeof rule === 'function') {
    return (id) => {
      try {
        // A promise is no answer, though JavaScript would take it for one.
        return rule(id) === true;
      } catch {
        return false;
      }
    };
  }
  const tests = (typeof rule === 'string' ? [rule] : rule).map((text) => compileText(text, trustDomain));
  return (id) => tests.some((test) => test(id));
}

function compileText(text: string, trustDomain: string): PeerTest {
  const uri = text.startsWith('spiffe://') ? text : `spiffe://${trustDomain}/${text}`;
  const any = uri.endsWith('/*');
  const given = parseSpiffeId(any ? uri.slice(0, -2) : uri, 'allow');
  const length = given.segments.length + (any ? 1 : 0);
  if (given.trustDomain === trustDomain && !isPossible(given.segments[0], length)) {
    throw new WritError('bad_spiffe_id', 'The rule could match nobody: no id of this trust domain looks like that.', {
      field: 'allow',
      remedy: 'Say agent/NAME/* for every instance of an agent, or agent/NAME/INSTANCE for one.',
    });
  }
  if (!any) return (id) => id.uri === uri;
  return (id) => id.segments.length === length && id.uri.startsWith(`${given.uri}/`);
}

/** Agents and services have three segments (kind, name, instance); nobody has one or none. */
function isPossible(kind: string | undefined, length: number): boolean {
  return kind === 'agent' || kind === 'service' ? length === 3 : length > 1;
}

/**
 * Gives each rule a text of at most 32 characters that no other rule has. Node's HTTP agents keep connections apart by
 * their TLS options, of which the rule is none: with this text as `sessionIdContext`, which means nothing to a client, no
 * connection that was accepted under one rule is used under another.
 */
export function ruleContexts(): (rule: PeerRule) => string {
  const functions = new WeakMap<(id: SpiffeId) => boolean, string>();
  let count = 0;
  return (rule) => {
    if (typeof rule !== 'function') return digest(`texts ${JSON.stringify(rule)}`);
    const known = functions.get(rule) ?? digest(`function ${count++}`);
    functions.set(rule, known);
    return known;
  };
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 32);
}

/**
 * The SPIFFE ID of a certificate that is a leaf as X.509-SVID has it (§2, §3.1, §4.3, §5.2): one URI name with a path, no authority,
 * a key for signatures, and for neither certificates nor lists. Throws `bad_spiffe_id` for any other. Says nothing about
 * whether the certificate is to be trusted.
 */
export function spiffeIdOf(der: Uint8Array): SpiffeId {
  const id = leafId(parseCertificate(der));
  if (typeof id !== 'string') return id;
  throw new WritError('bad_spiffe_id', `The certificate ${id}.`, { remedy: 'The peer needs an X.509-SVID.' });
}

/**
 * Who is at the other end of a TLS connection. Gives `undefined` when the peer sent no certificate, its chain did not
 * verify, or it names nobody.
 */
export function peerOf(socket: TLSSocket): SpiffeId | undefined {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined || !socket.authorized) return undefined;
  try {
    return spiffeIdOf(certificate.raw);
  } catch {
    return undefined;
  }
}

/** `checkServerIdentity` of `node:tls`: accepts by SPIFFE ID in place of the host name. */
export function checkPeer(allowed: PeerTest): (host: string, peer: PeerCertificate) => Error | undefined {
  return (_host, peer) => {
    try {
      const id = spiffeIdOf(peer.raw);
      if (allowed(id)) return undefined;
      return new WritError('denied', `The peer is ${id.uri}, which is not allowed here.`, {
        field: 'allow',
        remedy: 'Check that this is the right server, or allow its SPIFFE ID.',
      });
    } catch (error) {
      return error as Error;
    }
  };
}
