import type { Server, TLSSocket } from 'node:tls';
import { type Clock, systemClock } from '../../base/clock.ts';
import { WritError } from '../../base/error.ts';
import { decodePemBlocks } from '../../der/pem.ts';
import { type Certificate, parseCertificate } from '../../x509/certificate.ts';
import { findExtension } from '../../x509/extension.ts';
import {
  ACCESS_OCSP,
  AUTHORITY_INFO_ACCESS,
  decodeAuthorityInfoAccess,
} from '../../x509/extensions/authority-info-access.ts';
import { encodeCertId } from '../../x509/ocsp-cert-id.ts';
import { encodeOcspRequest } from '../../x509/ocsp-request.ts';
import { MAX_OCSP_RESPONSE_BYTES } from '../../x509/ocsp-response.ts';
import { judgeOcspResponse } from '../../x509/ocsp-verify.ts';
import type { Credential } from './credential.ts';

export interface StapleOptions {
  /** The responder. Default: the one that the certificate names. */
  readonly url?: string | undefined;
  readonly clock?: Clock | undefined;
}

/** Whose certificate it is about: an `Identity`. */
interface Holder {
  readonly credential: Pick<Credential, 'certificate' | 'chain'>;
}

/** An answer that is being handed out. Times in milliseconds. */
interface Held {
  readonly serial: Uint8Array;
  readonly der: Buffer;
  readonly thisUpdate: number;
  readonly nextUpdate: number;
}

const FETCH_MS = 3000;
const RETRY_MS = 2000;

/**
 * Staples OCSP answers (RFC 6066 §8): whoever asks a server of `identity` for one in the handshake gets the newest about
 * its certificate, verified, and need ask nobody else. It is fetched when first wanted and again at half of its life;
 * while the responder cannot be reached the last one is given until its end, then none. Gives a function that ends it.
 */
export function stapleOcsp(
  server: Pick<Server, 'on' | 'off'>,
  identity: Holder,
  options: StapleOptions = {},
): () => void {
  const staple = new Staple(identity, options);
  const onRequest = (
    _certificate: Buffer,
    _issuer: Buffer,
    done: (error: Error | null, answer: Buffer) => void,
  ): void => {
    // Node takes null for "none"; its types do not say so.
    const hand = (der?: Buffer): void => done(null, (der ?? null) as Buffer);
    staple.answer().then(hand, () => hand());
  };
  server.on('OCSPRequest', onRequest);
  return () => void server.off('OCSPRequest', onRequest);
}

class Staple {
  readonly #identity: Holder;
  readonly #url: string | undefined;
  readonly #clock: Clock;
  #held: Held | undefined;
  #fetching: Promise<void> | undefined;
  #retryAt = 0;

  constructor(identity: Holder, { url, clock = systemClock }: StapleOptions) {
    this.#identity = identity;
    this.#url = url;
    this.#clock = clock;
  }

  /** Waits for the responder only where there is nothing to give. Rejects where the certificate cannot be read. */
  async answer(): Promise<Buffer | undefined> {
    const certificate = parsePem(this.#identity.credential.certificate);
    const current = this.#current(certificate);
    const now = this.#clock.now();
    if (current === undefined || now > (current.thisUpdate + current.nextUpdate) / 2) {
      const fetched = this.#fetch(certificate, now);
      if (current === undefined) await fetched;
    }
    return this.#current(certificate)?.der;
  }

  #current({ serial }: Certificate): Held | undefined {
    const held = this.#held;
    if (held === undefined || Buffer.compare(held.serial, serial) !== 0) return undefined;
    return this.#clock.now() < held.nextUpdate ? held : undefined;
  }

  #fetch(certificate: Certificate, now: number): Promise<void> {
    if (this.#fetching === undefined && now < this.#retryAt) return Promise.resolve();
    this.#fetching ??= fetchAnswer(certificate, this.#identity.credential.chain[0], this.#url, this.#clock)
      .then(
        (held) => {
          this.#held = held;
        },
        () => {
          this.#retryAt = this.#clock.now() + RETRY_MS;
        },
      )
      .finally(() => {
        this.#fetching = undefined;
      });
    return this.#fetching;
  }
}

async function fetchAnswer(
  certificate: Certificate,
  above: string | undefined,
  url: string | undefined,
  clock: Clock,
): Promise<Held> {
  const to = url ?? responderOf(certificate);
  if (to === undefined || above === undefined) throw refused('There is no responder for this certificate');
  const issuer = parsePem(above);
  const question = Buffer.from(encodeOcspRequest([encodeCertId(certificate, issuer)])).toString('base64');
  const response = await fetch(`${to}/${encodeURIComponent(question)}`, { signal: AbortSignal.timeout(FETCH_MS) });
  const der = Buffer.from(await response.arrayBuffer());
  if (response.status !== 200 || der.length > MAX_OCSP_RESPONSE_BYTES) throw refused('The responder gave no answer');
  const judged = judgeOcspResponse(der, { certificate, issuer, now: clock.now() });
  if (judged.kind === 'refused') throw refused(`The OCSP answer ${judged.why}`);
  const { thisUpdate, nextUpdate } = judged;
  return { serial: certificate.serial, der, thisUpdate, nextUpdate };
}

function parsePem(text: string): Certificate {
  return parseCertificate(decodePemBlocks(text)[0]!.der);
}

/** Where the certificate says that its status is told; undefined for one that does not. */
function responderOf({ extensions }: Certificate): string | undefined {
  const access = findExtension(extensions, AUTHORITY_INFO_ACCESS);
  if (access === undefined) return undefined;
  const found = decodeAuthorityInfoAccess(access.value).find(({ method }) => method === ACCESS_OCSP);
  return found?.location.kind === 'uri' ? found.location.value : undefined;
}

/**
 * Ends a client's connection unless the server staples an answer that its certificate is good. For a socket of
 * `tls.connect` with `requestOCSP: true`, at once after that call. The socket is destroyed with a `WritError`: `revoked`
 * where the answer says so, `not_authenticated` where there is none that can be believed.
 */
export function requireStaple(socket: TLSSocket, { clock = systemClock }: Pick<StapleOptions, 'clock'> = {}): void {
  let staple: Buffer | undefined;
  socket.once('OCSPResponse', (answer: Buffer | null) => {
    staple = answer ?? undefined;
  });
  // Before whoever sends anything.
  socket.prependOnceListener('secureConnect', () => {
    const fault = stapleFault(socket, staple, clock.now());
    if (fault !== undefined) socket.destroy(fault);
  });
}

function stapleFault(socket: TLSSocket, staple: Buffer | undefined, now: number): WritError | undefined {
  const leaf = socket.getPeerX509Certificate();
  const issuer = leaf?.issuerCertificate;
  if (leaf === undefined || issuer === undefined) return refused('The server sent no certificate with its issuer’s');
  if (staple === undefined || staple.length === 0) return refused('The server stapled no OCSP answer');
  const expected = { certificate: parseCertificate(leaf.raw), issuer: parseCertificate(issuer.raw), now };
  const judged = judgeOcspResponse(staple, expected);
  if (judged.kind === 'refused') return refused(`The OCSP answer that the server stapled ${judged.why}`);
  if (judged.status.kind === 'good') return undefined;
  if (judged.status.kind === 'unknown') return refused('The server’s certificate is not known to its authority');
  return new WritError('revoked', 'The server’s certificate was revoked or is held.', {
    remedy: 'Whoever runs the server has to enrol it anew, or have the hold lifted.',
  });
}

function refused(message: string): WritError {
  return new WritError('not_authenticated', `${message}.`, {
    remedy: 'See that the responder can be reached from the server: its address stands in the server’s certificate.',
  });
}
