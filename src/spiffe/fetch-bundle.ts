import { lookup } from 'node:dns';
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { isIP, type LookupFunction } from 'node:net';
import { connect as connectTls, rootCertificates, type TLSSocket } from 'node:tls';
import { type AddressRule, guardedLookup, hostOf, parseOutboundUrl } from '../http/outbound-address.ts';
import { LARGEST_BUNDLE } from '../jwt/spiffe-bundle.ts';
import type { TrustDomain } from '../spiffe-id/trust-domain.ts';
import { type Certificate, parseCertificate } from '../x509/certificate.ts';
import { validateSvid } from '../x509/svid.ts';
import type { Federation, FederationFault } from './federation.ts';

export type Fetched =
  | { readonly fetched: true; readonly octets: Uint8Array }
  | { readonly fetched: false; readonly fault: FederationFault };

export interface FetchParts {
  readonly allowed: AddressRule;
  /** PEM of roots of one's own, by which servers of `https_web` may be known beside the public ones. */
  readonly roots?: readonly string[];
  /** The authorities of a trust domain as they are known now, for servers of `https_spiffe`. */
  readonly authorities: (trustDomain: TrustDomain) => Promise<readonly Certificate[] | undefined>;
  readonly now: () => number;
  /** Milliseconds from the beginning to the last octet, redirects included. Default 10 000. */
  readonly timeout?: number;
  readonly resolve?: LookupFunction;
}

const TIMEOUT_MS = 10_000;
const MOST_REDIRECTS = 3;
const MOST_SENT = 8;

/** SPIFFE Federation §5.2.1.1 and §5.2.2.1; the same of what a redirect leads to. */
const RULES = { allowHttp: false, allowNetworks: [] };

/**
 * Fetches a bundle by the profile of its endpoint (SPIFFE Federation §5.2.1.4, §5.2.2.4): nothing is asked before the server
 * has proved who it is, a redirect is followed as if it were the endpoint's own URL and never remembered, and time and size
 * have limits. Never rejects.
 */
export async function fetchBundle(
  { url, profile, endpointId }: Pick<Federation, 'url' | 'profile' | 'endpointId'>,
  parts: FetchParts,
): Promise<Fetched> {
  const signal = AbortSignal.timeout(parts.timeout ?? TIMEOUT_MS);
  let at = url;
  try {
    for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects++) {
      const target = parseOutboundUrl(at, RULES, parts.allowed);
      if (typeof target === 'string') return refused('url');
      const answer = await askOnce(target, { profile, endpointId, signal, parts });
      if ('fault' in answer) return refused(answer.fault);
      if ('octets' in answer) return { fetched: true, octets: answer.octets };
      const next = URL.parse(answer.location, target);
      if (next === null) return refused('url');
      at = next.href;
    }
    return refused('status');
  } catch (error) {
    if (error instanceof NotIdentified) return refused('identity');
    return refused(signal.aborted ? 'timeout' : isAddressRefused(error) ? 'url' : 'unreachable');
  }
}

type Answer = { readonly octets: Uint8Array } | { readonly location: string } | { readonly fault: FederationFault };

interface Asking extends Pick<Federation, 'profile'> {
  readonly endpointId: string | undefined;
  readonly signal: AbortSignal;
  readonly parts: FetchParts;
}

async function askOnce(url: URL, { profile, endpointId, signal, parts }: Asking): Promise<Answer> {
  const socket = await connected(url, { profile, signal, parts });
  try {
    if (profile === 'https_spiffe') await requireSvid(socket, endpointId!, parts);
    return await answerOf(await respond(url, socket, signal), signal);
  } finally {
    socket.destroy();
  }
}

/** A connection to the server; of `https_web` one whose certificate the host's name is in (RFC 6125). */
function connected(
  url: URL,
  { profile, signal, parts }: Pick<Asking, 'profile' | 'signal' | 'parts'>,
): Promise<TLSSocket> {
  const host = hostOf(url);
  const web = profile === 'https_web';
  return new Promise((resolve, reject) => {
    const socket = connectTls({
      host,
      port: url.port === '' ? 443 : Number(url.port),
      lookup: guardedLookup(parts.resolve ?? (lookup as LookupFunction), parts.allowed),
      minVersion: 'TLSv1.2',
      rejectUnauthorized: web,
      ALPNProtocols: ['http/1.1'],
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ...(web && parts.roots !== undefined ? { ca: [...rootCertificates, ...parts.roots] } : {}),
    });
    const fail = (error: Error): void => {
      socket.destroy();
      reject(web && isNotTrusted(error) ? new NotIdentified() : error);
    };
    const aborted = (): void => fail(new Error('too late'));
    signal.addEventListener('abort', aborted, { once: true });
    socket.once('error', fail);
    socket.once('secureConnect', () => {
      socket.off('error', fail);
      // Errors from here on are those of the request; one that nobody hears of must not end the process.
      socket.on('error', () => undefined);
      signal.removeEventListener('abort', aborted);
      resolve(socket);
    });
  });
}

class NotIdentified extends Error {}

/** What OpenSSL and Node say of a certificate; all else is of the network. */
function isNotTrusted(error: NodeJS.ErrnoException): boolean {
  return /CERT|SELF_SIGNED|UNABLE_TO|ALTNAME|INVALID_CA|INVALID_PURPOSE/.test(error.code ?? '');
}

function isAddressRefused(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EACCES';
}

/** The server's certificate is a valid X.509-SVID with just this id, under the authorities of the id's own trust domain. */
async function requireSvid(socket: TLSSocket, endpointId: string, { authorities, now }: FetchParts): Promise<void> {
  const sent = sentBy(socket);
  const [leaf, ...intermediates] = sent;
  if (leaf === undefined) throw new NotIdentified();
  const trustDomain = endpointId.slice('spiffe://'.length).split('/')[0] as TrustDomain;
  const known = await authorities(trustDomain);
  const result = validateSvid({
    ...{ leaf, intermediates, now: now(), purpose: 'server' },
    authorities: (domain) => (domain === trustDomain ? known : undefined),
  });
  if (!result.valid || result.id.uri !== endpointId) throw new NotIdentified();
}

function sentBy(socket: TLSSocket): Certificate[] {
  const sent: Certificate[] = [];
  try {
    let next = socket.getPeerX509Certificate();
    while (next !== undefined && sent.length < MOST_SENT) {
      sent.push(parseCertificate(new Uint8Array(next.raw)));
      next = next.issuerCertificate;
    }
  } catch {
    // What stands above one that cannot be read is of no use; without the leaf there is nobody.
  }
  return sent;
}

/** SPIFFE Federation §5.2.1.3: no client is authenticated here, so nothing of ours is sent. */
function respond(url: URL, socket: TLSSocket, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const sent: ClientRequest = httpRequest({
      createConnection: () => socket,
      path: `${url.pathname}${url.search}`,
      headers: { Host: url.host, Accept: 'application/json', Connection: 'close' },
      signal,
    });
    sent.on('error', reject);
    sent.on('response', resolve);
    sent.end();
  });
}

const REDIRECTS: ReadonlySet<number | undefined> = new Set([301, 302, 303, 307, 308]);

async function answerOf(answer: IncomingMessage, signal: AbortSignal): Promise<Answer> {
  const { location } = answer.headers;
  if (REDIRECTS.has(answer.statusCode) && location !== undefined) return { location };
  if (answer.statusCode !== 200) return { fault: 'status' };
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > LARGEST_BUNDLE) return { fault: 'too_large' };
    chunks.push(chunk);
  }
  signal.throwIfAborted();
  return { octets: Buffer.concat(chunks, length) };
}

function refused(fault: FederationFault): Fetched {
  return { fetched: false, fault };
}
