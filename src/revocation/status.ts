import type { Caller } from '../base/access.ts';
import type { Clock } from '../base/clock.ts';
import { WritError } from '../base/error.ts';
import { readSerial } from '../ca/certificate/serial.ts';
import { type CertificateRow, readCertificate } from '../ca/index/certificates.ts';
import type { Epoch } from '../db/batch.ts';
import type { Reader } from '../db/database.ts';
import { EpochCache } from '../db/epoch-cache.ts';
import type { PartitionMap } from '../db/partition-map.ts';
import { Superseded } from '../http/client-cert.ts';
import { certificateHold } from '../registry/hold.ts';
import { readOperator } from '../registry/operator.ts';
import { readStanding, type Standing, standingFault } from '../registry/standing.ts';

/** The epoch, and when it was last known to be the stored one (milliseconds). */
interface WatchedEpoch extends Epoch {
  confirmedAt(): number;
}

export interface StatusParts {
  readonly reader: Reader;
  /** Of the family `certificate`. */
  readonly certificates: PartitionMap;
  readonly epoch: WatchedEpoch;
  /** Instances with their agents, by instance id; shared with whoever else asks. */
  readonly standings: EpochCache<Standing>;
  readonly clock: Clock;
}

/**
 * What a certificate is worth now.
 *
 * - `good`: issued by this installation, unexpired, unrevoked, its holder active.
 * - `revoked`: it or its holder was stopped for good. `inactive`: its holder is quarantined or nobody answers for it.
 * - `unknown`: not one of ours that we know of, or nobody can know: the epoch has not been looked at lately. Never good.
 */
export type CertificateStanding =
  | { readonly state: 'good'; readonly certificate: CertificateRow }
  | { readonly state: 'revoked' | 'inactive' | 'expired' | 'unknown'; readonly message: string };

/** For so long, in milliseconds, an answer is given though the epoch could not be looked at: the hard bound of revocation. */
const STALE_AFTER = 5000;

/** Certificates that are remembered. */
const REMEMBERED = 50_000;

/**
 * Answers for each request whether the caller's certificate still holds. What is read is remembered under the epoch:
 * right for every request that begins after a revocation was acknowledged by this process, and in other processes as soon
 * as the epoch was polled.
 */
export class CertificateStatus {
  readonly #parts: StatusParts;
  readonly #known: EpochCache<CertificateStanding>;

  constructor(parts: StatusParts) {
    this.#parts = parts;
    this.#known = new EpochCache(parts.epoch, REMEMBERED);
  }

  /** What the door is told of a caller, for each request: undefined when its certificate is good and is the caller's. */
  readonly standingOf = (caller: Caller): WritError | undefined | Promise<WritError | undefined> => {
    const standing = caller.serial === undefined ? UNKNOWN : this.of(caller.serial);
    return standing instanceof Promise ? standing.then((found) => faultOf(found, caller)) : faultOf(standing, caller);
  };

  /** A promise only when it has to be read; that rejects with `storage_failed` when it cannot be. */
  of(serial: Uint8Array): CertificateStanding | Promise<CertificateStanding> {
    const { clock, epoch } = this.#parts;
    const now = clock.now();
    const times = readSerial(serial);
    if (times === undefined) return UNKNOWN;
    if (now >= times.expiresAt) return EXPIRED;
    if (now - epoch.confirmedAt() > STALE_AFTER) return STALE;
    const key = serial.toHex();
    return this.#known.get(key) ?? this.#read(key, serial);
  }

  async #read(key: string, serial: Uint8Array): Promise<CertificateStanding> {
    const standing = await this.#known.read(key, () => this.#judge(serial));
    // What is not there may be there in a moment: an issue moves no epoch.
    if (standing === UNKNOWN) this.#known.forget(key);
    return standing;
  }

  async #judge(serial: Uint8Array): Promise<CertificateStanding> {
    const { certificates, reader, standings, clock } = this.#parts;
    const certificate = await readCertificate(certificates, serial);
    if (certificate === undefined) return UNKNOWN;
    if (certificate.revoked !== undefined) {
      return certificate.revoked.cause === 'superseded_by_renewal' ? SUPERSEDED : REVOKED;
    }
    const held = await certificateHold(reader, serial.toHex(), certificate.issuer);
    if (held !== undefined) return held === 'certificate' ? HELD : AUTHORITY_HELD;
    const { instance, kind, name } = certificate;
    if (instance !== undefined) {
      const standing = await standings.read(instance, async () => (await readStanding(reader, instance))!);
      const fault = standing === undefined ? UNKNOWN_HOLDER : standingFault(standing);
      return fault === undefined ? { state: 'good', certificate } : { state: fault.code, message: fault.message };
    }
    if (kind === 'operator' && (await readOperator(reader, name, clock.now()))?.status !== 'active') return REMOVED;
    return { state: 'good', certificate };
  }
}

function faultOf(standing: CertificateStanding, caller: Caller): WritError | undefined {
  if (standing.state === 'good') return isCallers(standing.certificate, caller) ? undefined : faultOf(UNKNOWN, caller);
  const { state, message } = standing;
  const another = caller.kind === 'operator' ? ADD : ENROL;
  if (state === 'unknown') {
    const code = standing === STALE ? 'unavailable' : 'not_authenticated';
    return new WritError(code, message, {
      remedy: code === 'unavailable' ? 'Repeat the request in a moment.' : another,
    });
  }
  if (standing === SUPERSEDED) return new Superseded(message, another);
  return new WritError(state, message, { remedy: state === 'inactive' ? 'Ask the team that owns it.' : another });
}

/** The serial number is in the certificate that the caller presented; so are these, and the index must say the same. */
function isCallers({ kind, name, instance }: CertificateRow, caller: Caller): boolean {
  return kind === caller.kind && name === (caller.operator ?? caller.agent) && instance === caller.instance;
}

const ENROL = 'Enrol a new instance with a join token, or present another certificate.';
const ADD = 'Have "writ operator add" run on the machine of the server, and use the credential that it writes.';
const UNKNOWN_HOLDER = { code: 'revoked', message: 'The holder of the certificate is not known any more.' } as const;
const REVOKED = { state: 'revoked', message: 'The certificate was revoked, which is for ever.' } as const;
const SUPERSEDED = { state: 'revoked', message: 'The certificate was replaced, and revoked with it.' } as const;
const HELD = { state: 'inactive', message: 'The certificate is quarantined.' } as const;
const AUTHORITY_HELD = { state: 'inactive', message: 'The authority that issued it is quarantined.' } as const;
const REMOVED = { state: 'revoked', message: 'The operator was removed, which is for ever.' } as const;
const EXPIRED = { state: 'expired', message: 'The certificate has expired.' } as const;
const UNKNOWN = { state: 'unknown', message: 'The certificate is not one that this installation knows.' } as const;
const STALE = { state: 'unknown', message: 'It is not known whether the certificate was revoked meanwhile.' } as const;
