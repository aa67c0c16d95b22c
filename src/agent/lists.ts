import { request } from 'node:http';
import { sameBytes } from '../der/bytes.ts';
import { decodePem } from '../der/pem.ts';
import type { Credential } from '../sdk/identity/credential.ts';
import { verifySignature } from '../x509/algorithm.ts';
import { type Certificate, parseCertificate } from '../x509/certificate.ts';
import { parseCrl } from '../x509/crl.ts';
import { findExtension } from '../x509/extension.ts';
import {
  ACCESS_CA_ISSUERS,
  AUTHORITY_INFO_ACCESS,
  decodeAuthorityInfoAccess,
} from '../x509/extensions/authority-info-access.ts';
import { CRL_NUMBER, decodeCrlNumber } from '../x509/extensions/crl-number.ts';
import { parsePublicKey } from '../x509/public-key.ts';

/** Octets of the largest list that is handed on: some 18 000 entries. Who needs more reads the feed, or asks OCSP. */
const LARGEST_LIST = 1024 * 1024;
const TIMEOUT_MS = 3000;

/** One authority's list: of everything that it signs. */
interface Source {
  readonly issuer: Certificate;
  tag: string | undefined;
  held: { readonly der: Uint8Array; readonly number: bigint; readonly nextUpdate: number } | undefined;
  fault: string | undefined;
}

/**
 * The revocation lists of the authorities above what this daemon holds, for the `crl` field: whole ones, since clients are
 * told nothing of shards. They come over plain HTTP, so none counts that the authority has not signed, or that is older
 * than what is held.
 */
export class Lists {
  readonly #sources = new Map<string, Source>();
  readonly #changed: () => void;
  readonly #now: () => number;
  readonly #address: (url: string) => string;

  /** `address`: where a list is asked for in place of where its certificate says. */
  constructor(now: () => number, changed: () => void, address: (url: string) => string = (url) => url) {
    this.#now = now;
    this.#changed = changed;
    this.#address = address;
  }

  /** DER of those that are in force. */
  get current(): readonly Uint8Array[] {
    const now = this.#now();
    return [...this.#sources.values()].flatMap(({ held }) =>
      held !== undefined && held.nextUpdate > now ? [held.der] : [],
    );
  }

  /** Why a list is missing, by its address. */
  get faults(): Readonly<Record<string, string>> {
    return Object.fromEntries(
      [...this.#sources].flatMap(([url, { fault }]) => (fault === undefined ? [] : [[url, fault] as const])),
    );
  }

  /** Remembers the authorities above a certificate. */
  learn({ certificate, chain, roots }: Pick<Credential, 'certificate' | 'chain' | 'roots'>): void {
    const path = [certificate, ...chain].map((pem) => parseCertificate(decodePem(pem, 'CERTIFICATE')));
    const anchors = roots.map((pem) => parseCertificate(decodePem(pem, 'CERTIFICATE')));
    for (const one of path) {
      const issuer = [...path, ...anchors].find(({ subject }) => sameBytes(subject.raw, one.issuer.raw));
      const url = listOf(one);
      if (issuer === undefined || url === undefined || this.#sources.has(url)) continue;
      this.#sources.set(url, { issuer, tag: undefined, held: undefined, fault: undefined });
    }
  }

  /** Asks for all lists. Never rejects: what is held stays until its end. */
  async refresh(): Promise<void> {
    const changes = await Promise.all([...this.#sources].map(([url, source]) => this.#fetch(url, source)));
    if (changes.includes(true)) this.#changed();
  }

  async #fetch(url: string, source: Source): Promise<boolean> {
    try {
      const answer = await get(this.#address(url), source.tag);
      source.fault = undefined;
      if (answer === undefined) return false;
      const list = parseCrl(answer.der);
      const number = findExtension(list.extensions, CRL_NUMBER);
      const isTheirs =
        sameBytes(list.issuer.raw, source.issuer.subject.raw) &&
        verifySignature(list.signatureAlgorithm, parsePublicKey(source.issuer.spki), list.tbs, list.signature);
      if (!isTheirs || number === undefined || list.nextUpdate === undefined)
        throw new Error('not signed by the authority');
      const held = { der: answer.der, number: decodeCrlNumber(number.value), nextUpdate: list.nextUpdate };
      if (source.held !== undefined && held.number <= source.held.number) return false;
      source.tag = answer.tag;
      source.held = held;
      return true;
    } catch (error) {
      source.fault = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
      return false;
    }
  }
}

/** Beside the certificate of the authority, whose address every certificate names, lies its whole list (`docs/STATUS.md`). */
function listOf({ extensions }: Certificate): string | undefined {
  const access = findExtension(extensions, AUTHORITY_INFO_ACCESS);
  if (access === undefined) return undefined;
  for (const { method, location } of decodeAuthorityInfoAccess(access.value)) {
    if (method !== ACCESS_CA_ISSUERS || location.kind !== 'uri') continue;
    const [, before, authority] = /^(http:\/\/.*)\/ca\/([^/]+)\.cer$/.exec(location.value) ?? [];
    if (authority !== undefined) return `${before}/crl/${authority}.crl`;
  }
  return undefined;
}

/** A list, and its entity tag; undefined where it is still the one with this tag. */
function get(url: string, tag: string | undefined): Promise<{ der: Uint8Array; tag: string | undefined } | undefined> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const sent = request(url, { signal, headers: tag === undefined ? {} : { 'If-None-Match': tag } });
    sent.on('error', (error) => reject(signal.aborted ? new Error('no answer in time') : error));
    sent.on('response', (answer) => {
      const pieces: Buffer[] = [];
      let length = 0;
      answer.on('data', (piece: Buffer) => {
        length += piece.length;
        if (length > LARGEST_LIST) sent.destroy(new Error('larger than what is handed on'));
        else pieces.push(piece);
      });
      answer.on('error', reject);
      answer.on('end', () => {
        if (answer.statusCode === 304) resolve(undefined);
        else if (answer.statusCode === 200) resolve({ der: Buffer.concat(pieces, length), tag: answer.headers.etag });
        else reject(new Error(`status ${answer.statusCode}`));
      });
    });
    sent.end();
  });
}
