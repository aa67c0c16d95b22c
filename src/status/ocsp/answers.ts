import { hash } from 'node:crypto';
import type { Clock } from '../../base/clock.ts';
import { isWritError, type WritError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import type { Authority } from '../../ca/authority.ts';
import type { OcspResponder } from '../../ca/ocsp/responder.ts';
import { type SignedOcsp, signOcsp } from '../../ca/ocsp/sign.ts';
import type { Epoch } from '../../db/batch.ts';
import { EpochCache } from '../../db/epoch-cache.ts';
import { readStoppedAuthorities, type StoppedAuthority } from '../../revocation/stopped-authorities.ts';
import { type CertId, type IssuerHashes, isIssuedBy, issuerHashes } from '../../x509/ocsp-cert-id.ts';
import { type OcspRequest, parseOcspRequest } from '../../x509/ocsp-request.ts';
import { encodeOcspFault, type OcspFault, type OcspStatus } from '../../x509/ocsp-response.ts';
import type { OcspResponders } from './responders.ts';
import { type OcspStatusParts, readOcspStatus, underStopped } from './status.ts';

export interface OcspParts extends OcspStatusParts {
  /** And when it was last known to be the stored one (milliseconds). */
  readonly epoch: Epoch & { confirmedAt(): number };
  readonly clock: Clock;
  readonly log: Log;
  readonly responders: OcspResponders;
  /** Brings `authorities` up to what is committed. */
  refresh(): Promise<void>;
}

/** The answer to one question. */
export interface OcspReply {
  /** DER OCSPResponse. */
  readonly der: Uint8Array;
  /** Where others may keep it for a while: without a nonce, and no refusal. */
  readonly keep?: {
    /** What it is about: the CertID. */
    readonly id: string;
    /** Strong entity tag, with its quotes. */
    readonly tag: string;
    /** Milliseconds. */
    readonly thisUpdate: number;
    readonly nextUpdate: number;
    /** Milliseconds: from then on this process gives a newer one. */
    readonly freshUntil: number;
    /** For HTTP: name, value, name, value. */
    readonly headers: readonly string[];
  };
}

export type KeptReply = Required<OcspReply>;

interface Answer {
  readonly id: Uint8Array;
  readonly status: OcspStatus;
}

/** Milliseconds for which a signed answer is given again: half of its validity, so that nobody gets one that is nearly over. */
const FRESH = 30_000;
/** For so long, in milliseconds, an answer is given though the epoch could not be looked at: the hard bound of revocation. */
const STALE_AFTER = 5000;
/** Answers, by what they are about and by name, and statuses that are remembered; together some 25 MB. */
const ANSWERS = 10_000;
const STATUSES = 20_000;
/** A status that keeps changing while it is read is read so often. */
const ATTEMPTS = 5;

/**
 * Answers OCSP questions, DER in and DER out (RFC 6960). What was signed without a nonce is given again for half a minute.
 * All that is remembered goes when the epoch moves, and what was read is signed only if the epoch did not move meanwhile:
 * after a revocation was acknowledged by this process nobody is told `good`.
 */
export class OcspAnswers {
  readonly #parts: OcspParts;
  readonly #statuses: EpochCache<OcspStatus>;
  /** Authorities that are stopped: read once under an epoch, so that a question costs no more while there are none. */
  readonly #stopped: EpochCache<ReadonlyMap<string, StoppedAuthority>>;
  /** By all of the CertID, since an answer repeats it. */
  readonly #answers: EpochCache<KeptReply>;
  readonly #named: EpochCache<KeptReply>;
  /** The epoch under which a responder was last seen not to be revoked. */
  readonly #trusted = new WeakMap<OcspResponder, number>();
  /** The epoch as of which the authorities are known. */
  #refreshedUnder = Number.NaN;
  #authorities: readonly Authority[] = [];
  #issuers: readonly { readonly authority: Authority; readonly hashes: IssuerHashes }[] = [];

  constructor(parts: OcspParts) {
    this.#parts = parts;
    this.#statuses = new EpochCache(parts.epoch, STATUSES);
    this.#stopped = new EpochCache(parts.epoch, 1);
    this.#answers = new EpochCache(parts.epoch, ANSWERS);
    this.#named = new EpochCache(parts.epoch, ANSWERS);
  }

  /** Never throws: what goes wrong is an answer, too (§2.3). A promise only where something has to be read or made. */
  answer(der: Uint8Array): OcspReply | Promise<OcspReply> {
    let request: OcspRequest;
    try {
      request = parseOcspRequest(der);
    } catch {
      return FAULTS.malformedRequest;
    }
    const now = this.#parts.clock.now();
    if (this.#isStale(now)) return FAULTS.tryLater;
    const [first, ...more] = request.certificates;
    if (request.nonce === undefined && more.length === 0) {
      const kept = this.#answers.get(latin1(first!.raw));
      if (kept !== undefined && isFresh(kept, now)) return kept;
    }
    try {
      return this.#atOnce(request) ?? this.#make(request).catch((error: unknown) => this.#fault(error));
    } catch (error) {
      return this.#fault(error);
    }
  }

  /** The answer that is kept under a name that the caller gave it, if it is still to be given. */
  named(name: string): KeptReply | undefined {
    const kept = this.#named.get(name);
    if (kept === undefined) return undefined;
    const now = this.#parts.clock.now();
    return isFresh(kept, now) && !this.#isStale(now) ? kept : undefined;
  }

  /** Remembers an answer of `answer` by a name, e.g. the path that it was asked for by. */
  name(name: string, reply: OcspReply): void {
    const under = this.#parts.epoch.current();
    // Only what is kept in any case: whoever thinks up questions takes no room here either.
    if (isKept(reply) && this.#answers.get(reply.keep.id) === reply) this.#named.put(name, reply, under);
  }

  /** The answer, where everything is in memory that it is made of. */
  #atOnce(request: OcspRequest): OcspReply | undefined {
    const { epoch, responders } = this.#parts;
    const under = epoch.current();
    if (this.#refreshedUnder !== under) return undefined;
    const authority = this.#issuerOf(request.certificates);
    if (authority === undefined) return FAULTS.unauthorized;
    const responder = responders.ready(authority);
    if (responder === undefined || this.#trusted.get(responder) !== under) return undefined;
    const answers: Answer[] = [];
    for (const { raw, serial } of request.certificates) {
      const status = this.#statuses.get(keyOf(authority, serial));
      if (status === undefined) return undefined;
      answers.push({ id: raw, status });
    }
    return this.#sign(request, { responder, answers, under });
  }

  async #make(request: OcspRequest): Promise<OcspReply> {
    const { epoch, responders, refresh } = this.#parts;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const under = epoch.current();
      await refresh();
      this.#refreshedUnder = under;
      const authority = this.#issuerOf(request.certificates);
      if (authority === undefined) return FAULTS.unauthorized;
      const responder = await responders.of(authority);
      const answers: Answer[] = [];
      for (const { raw, serial } of request.certificates) {
        answers.push({ id: raw, status: await this.#status(serial, authority) });
      }
      if (this.#trusted.get(responder) !== under && (await this.#isRevoked(responder, authority))) {
        responders.forget(authority);
        continue;
      }
      // From here on nothing waits.
      if (epoch.current() !== under) continue;
      this.#trusted.set(responder, under);
      return this.#sign(request, { responder, answers, under });
    }
    return FAULTS.tryLater;
  }

  /** Signs what was known under the epoch `under`, which is still the present one, and keeps it. */
  #sign(
    { nonce }: OcspRequest,
    { responder, answers, under }: { responder: OcspResponder; answers: readonly Answer[]; under: number },
  ): OcspReply {
    const signed = signOcsp(responder, { answers, nonce, now: this.#parts.clock.now() });
    if (nonce !== undefined) return signed;
    const [only, ...more] = answers;
    const reply = keptReply(signed, latin1(only!.id));
    // Whoever makes up serial numbers takes no room from what was issued.
    if (more.length === 0 && only!.status.kind !== 'unknown') this.#answers.put(reply.keep.id, reply, under);
    return reply;
  }

  #isStale(now: number): boolean {
    return now - this.#parts.epoch.confirmedAt() > STALE_AFTER;
  }

  #status(serial: Uint8Array, authority: Authority): OcspStatus | Promise<OcspStatus> {
    const key = keyOf(authority, serial);
    return this.#statuses.get(key) ?? this.#readStatus(key, serial, authority);
  }

  async #readStatus(key: string, serial: Uint8Array, authority: Authority): Promise<OcspStatus> {
    const status = await this.#statuses.read(key, async () => {
      const { reader } = this.#parts;
      const stopped = await this.#stopped.read('', () => readStoppedAuthorities(reader));
      return underStopped(await readOcspStatus(serial, authority, this.#parts), stopped.get(authority.id));
    });
    // What is not there may be there in a moment: an issue moves no epoch.
    if (status.kind === 'unknown') this.#statuses.forget(key);
    return status;
  }

  /**
   * By itself: the responder of a stopped authority goes on, since whatever was issued there is revoked by its word, and
   * nobody would say so in its place.
   */
  async #isRevoked({ serial }: OcspResponder, authority: Authority): Promise<boolean> {
    return (await readOcspStatus(serial, authority, this.#parts)).kind === 'revoked';
  }

  /**
   * The one authority that signed everything that is asked about, and whose key is here: nobody else may certify who
   * answers (§4.2.2.2).
   */
  #issuerOf(certificates: readonly CertId[]): Authority | undefined {
    const authorities = this.#parts.authorities();
    if (authorities !== this.#authorities) {
      this.#authorities = authorities;
      this.#issuers = authorities
        .filter(({ state, keyId }) => state !== 'next' && keyId !== undefined)
        .map((authority) => {
          const { subject, spki } = authority.certificate;
          return { authority, hashes: issuerHashes(subject.raw, spki) };
        });
    }
    const found = this.#issuers.find(({ hashes }) => isIssuedBy(certificates[0]!, hashes));
    return found !== undefined && certificates.every((id) => isIssuedBy(id, found.hashes))
      ? found.authority
      : undefined;
  }

  #fault(error: unknown): OcspReply {
    const refused = isWritError(error) ? REFUSALS[error.code] : undefined;
    if (refused === 'unauthorized') return FAULTS.unauthorized;
    this.#parts.log.error('no OCSP answer', { error: (error as Error).message });
    return FAULTS[refused ?? 'internalError'];
  }
}

const fault = (kind: OcspFault): OcspReply => ({ der: encodeOcspFault(kind) });

const FAULTS = {
  malformedRequest: fault('malformedRequest'),
  internalError: fault('internalError'),
  tryLater: fault('tryLater'),
  unauthorized: fault('unauthorized'),
} as const;

/** What keeps the responder from being certified or the store from being read. The rest is a defect. */
const REFUSALS: { readonly [code in WritError['code']]?: 'tryLater' | 'unauthorized' } = {
  // The key is not on this machine, or the authority has ended.
  not_found: 'unauthorized',
  expired: 'unauthorized',
  conflict: 'tryLater',
  unavailable: 'tryLater',
  storage_failed: 'tryLater',
  signer_failed: 'tryLater',
  clock: 'tryLater',
  denied: 'tryLater',
  inactive: 'tryLater',
  behind_anchor: 'tryLater',
};

function keptReply({ der, thisUpdate, nextUpdate }: SignedOcsp, id: string): KeptReply {
  const tag = `"${hash('sha256', der, 'base64url')}"`;
  const freshUntil = Math.min(thisUpdate + FRESH, nextUpdate);
  const headers = ['Last-Modified', new Date(thisUpdate).toUTCString(), 'Expires', new Date(nextUpdate).toUTCString()];
  return { der, keep: { id, tag, thisUpdate, nextUpdate, freshUntil, headers } };
}

function isKept(reply: OcspReply): reply is KeptReply {
  return reply.keep !== undefined;
}

function isFresh({ keep }: KeptReply, now: number): boolean {
  return now < keep.freshUntil && now >= keep.thisUpdate;
}

function keyOf(authority: Authority, serial: Uint8Array): string {
  return authority.id + latin1(serial);
}

function latin1(octets: Uint8Array): string {
  return Buffer.from(octets.buffer, octets.byteOffset, octets.length).toString('latin1');
}
