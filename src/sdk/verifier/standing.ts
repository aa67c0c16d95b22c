import type { TLSSocket } from 'node:tls';
import { WritError } from '../../base/error.ts';
import type { SignerFall } from '../feed/signatures.ts';
import type { AnyIdentity } from '../identity/any-identity.ts';
import type { MachineClock } from '../machine-clock.ts';
import { certificateFacts, type PeerFacts } from '../peer/facts.ts';
import type { PeerMemo } from '../peer/memo.ts';
import type { PeerTest } from '../peer/peer.ts';
import type { Refusal } from './options.ts';
import { isStale, type Staleness } from './staleness.ts';
import { type Fallen, Stopped } from './stopped.ts';

export interface StandingParts {
  readonly identity: AnyIdentity;
  readonly peers: PeerMemo;
  readonly staleness: Staleness;
  /** How old, at most, what is known may be: milliseconds. */
  readonly age: () => number;
  readonly clock: MachineClock;
}

/** Who may be answered now, by what the feed has said and how old that is. */
export class Standing {
  readonly #parts: StandingParts;
  /** What of the feed is in force. */
  stopped: Stopped = new Stopped();
  #own: { readonly of: string; readonly subjects: readonly string[] } | undefined;

  constructor(parts: StandingParts) {
    this.#parts = parts;
  }

  /** Why this peer may not be answered; undefined when it may. */
  against(facts: PeerFacts): Refusal | undefined {
    const { clock, staleness, age } = this.#parts;
    if (clock.wall() >= facts.notAfter) return 'expired';
    // What is known to have fallen is refused for that, however old the feed.
    return this.fallOf(facts) ?? (isStale(staleness, age(), facts.ephemeral) ? 'stale' : undefined);
  }

  /** Why whoever has this certificate (DER) may not be trusted as a server now. */
  faultOf(certificate: Uint8Array): WritError | undefined {
    const facts = this.#factsOf(certificate);
    const reason = this.against(facts);
    return reason === undefined ? undefined : refused(reason, facts.ephemeral);
  }

  /** Whether it has fallen, as far as is known, however old that is. */
  fallOf({ subjects }: Pick<PeerFacts, 'subjects'>): Fallen | undefined {
    return this.stopped.of(subjects, this.#parts.clock.wall());
  }

  /**
   * As `faultOf`, of a relay, which has the feed: not because what is known is old, nor while it is held. It is told nothing
   * then, so nothing it has is new; and when it is released, whoever reads from nobody else hears of that through it.
   */
  relayFaultOf(certificate: Uint8Array): WritError | undefined {
    return this.fallOf(this.#factsOf(certificate)) === 'stopped' ? refused('stopped', false) : undefined;
  }

  /** What has become of a server that signs, or an authority above it: ended, or held since when (its clock). */
  signerFallOf(subject: string): SignerFall | undefined {
    const since = this.stopped.heldSince(subject);
    if (since !== undefined) return { heldSince: since };
    return this.fallOf({ subjects: [subject] }) === undefined ? undefined : 'stopped';
  }

  /** The facts of a relay that is read from. */
  ofRelay(socket: TLSSocket): PeerFacts | undefined {
    const facts = this.#parts.peers.ofSocket(socket);
    return facts === undefined || this.fallOf(facts) === 'stopped' ? undefined : facts;
  }

  /** The facts of a peer that is allowed and has not fallen, as far as is known, however old that is. */
  of(socket: TLSSocket, allowed: PeerTest): PeerFacts | undefined {
    const facts = this.#parts.peers.ofSocket(socket);
    if (facts === undefined || !allowed(facts.id) || this.#parts.clock.wall() >= facts.notAfter) return undefined;
    return this.fallOf(facts) === undefined ? facts : undefined;
  }

  /** Why this program itself may not act any more. */
  ownFall(): Fallen | undefined {
    const certificate = this.#ownCertificate();
    // The Workload API has taken it back, and may give it again.
    if (certificate === undefined) return 'held';
    if (this.#own?.of !== certificate) {
      this.#own = { of: certificate, subjects: this.#factsOf(Buffer.from(certificate)).subjects };
    }
    return this.fallOf(this.#own);
  }

  #factsOf(certificate: Uint8Array): PeerFacts {
    return certificateFacts(certificate, this.#parts.identity.trustDomain);
  }

  #ownCertificate(): string | undefined {
    try {
      return this.#parts.identity.credential.certificate;
    } catch {
      return undefined;
    }
  }
}

function refused(reason: Refusal, ephemeral: boolean): WritError {
  if (reason !== 'stale') {
    return new WritError('revoked', `The server may not be trusted now: ${reason}.`, { remedy: 'Ask who runs it.' });
  }
  const why = ephemeral ? 'stale, and nothing but the feed tells of its certificate, which is ephemeral' : 'stale';
  return new WritError('unavailable', `The server may not be trusted now: ${why}.`, {
    remedy: 'Check that this machine reaches the authority.',
  });
}
