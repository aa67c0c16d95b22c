import type { Clock } from '../../base/clock.ts';
import { isWritError } from '../../base/error.ts';
import { decodePem } from '../../der/pem.ts';
import { BACKDATED_MS, type Credential } from '../../sdk/identity/credential.ts';
import { pauseAfter } from '../../sdk/identity/renewal.ts';
import { certificateFacts, issuerOf } from '../../sdk/peer/facts.ts';
import type { X509Svid } from '../../sdk/workload-api/messages.ts';
import { parseSpiffeId } from '../../spiffe-id/spiffe-id.ts';
import type { Entry } from '../../wire/entry.ts';
import type { Runtime } from '../../wire/runtime.ts';
import { parseCertificate } from '../../x509/certificate.ts';
import { pauseOf } from '../failure.ts';
import { instanceOf, type NodeServer, type Sight } from '../server.ts';
import type { Rotation } from './rotation.ts';
import { contradicts } from './runtime-drift.ts';

/** Why an instance has no identity any more, or none for now. */
export type ChildEnd = 'stopped' | 'expired' | 'gone' | 'closed';

export interface ChildParts {
  readonly server: NodeServer;
  readonly rotation: Rotation;
  readonly clock: Clock;
  readonly random: () => number;
  /** Takes the child's turn among all that ask the server. */
  readonly turn: <T>(run: () => Promise<T>) => Promise<T>;
  /** What is seen of it now; undefined where nobody is there to look at. */
  readonly facts: () => Promise<Sight | undefined>;
  /** What its runtime says now. */
  readonly said: () => Runtime | undefined;
  /** It has another certificate, is held or released, or has ended. */
  readonly changed: (child: Child) => void;
}

/** One that is held is renewed in vain, until somebody releases it: not often, however little it has left. */
const HELD_MS = 120_000;

/**
 * One workload that this node has let in: its key and certificate, in memory alone, renewed until it is stopped, its process
 * has gone or the server has been silent past its expiry.
 */
export class Child {
  readonly entry: Entry;
  readonly instance: string;
  readonly #parts: ChildParts;
  #credential: Credential;
  #svid: X509Svid | undefined;
  #subjects: readonly string[] | undefined;
  /** What its runtime said when the server last gave a certificate. */
  #runtime: Runtime | undefined;
  /** What the server was told last, whether it took it or not. */
  #told: Runtime | undefined;
  #held = false;
  #end: ChildEnd | undefined;
  /** When the certificate was received, by both clocks of this machine. */
  #received: { readonly wall: number; readonly steady: number };
  #failures = 0;
  #lastError: Error | undefined;
  #takeBack: () => void;
  #renewing: Promise<void> | undefined;

  /** `runtime`: what the server was told of it. */
  constructor(entry: Entry, credential: Credential, parts: ChildParts, runtime?: Runtime) {
    this.entry = entry;
    this.instance = instanceOf(credential);
    this.#parts = parts;
    this.#credential = credential;
    this.#runtime = runtime;
    this.#told = runtime;
    this.#received = this.#clocks();
    this.#takeBack = this.#plan(true);
  }

  get credential(): Credential {
    return this.#credential;
  }

  get spiffeId(): string {
    return this.#credential.spiffeId;
  }

  /** Undefined while it is good for something, at once or when it is released. */
  get end(): ChildEnd | undefined {
    return this.#end;
  }

  /** Whether it may be handed out now. */
  get usable(): boolean {
    return this.#end === undefined && !this.#held && !this.expired && !this.contradicted;
  }

  /** What the server last believed of the agent. */
  get runtime(): Runtime | undefined {
    return this.#runtime;
  }

  /**
   * Whether its runtime says now that it runs something else than what the server believes. Such an identity is not handed
   * out, whether the server can be reached or not; it holds it when it hears so.
   */
  get contradicted(): boolean {
    return contradicts(this.#runtime, this.#parts.said());
  }

  /** Why the latest renewal failed; undefined after one that did not. */
  get lastError(): Error | undefined {
    return this.#lastError;
  }

  /**
   * Whether its certificate has ended, by the authority's time. A clock of this machine that was set tells nothing: both
   * have to say so.
   */
  get expired(): boolean {
    const { wall, steady } = this.#received;
    const { notBefore, notAfter } = this.#credential;
    const passed = Math.min(this.#parts.clock.now() - wall, performance.now() - steady);
    return passed >= notAfter - (notBefore + BACKDATED_MS);
  }

  /** What an entry of the feed can name to stop it. */
  get subjects(): readonly string[] {
    this.#subjects ??= subjectsOf(this.#credential);
    return this.#subjects;
  }

  /** As the Workload API has it; made once for each certificate. */
  get svid(): X509Svid {
    this.#svid ??= svidOf(this.#credential, this.entry.hint);
    return this.#svid;
  }

  /** Takes over what the feed says of it. */
  judge(fallen: 'stopped' | 'held' | undefined): void {
    if (this.#end !== undefined) return;
    if (fallen === 'stopped') this.finish('stopped');
    else if (this.#held !== (fallen === 'held')) {
      this.#held = fallen === 'held';
      this.#parts.changed(this);
      if (!this.#held && this.expired) void this.renew();
    }
  }

  /**
   * Ends it when its certificate has. One that is held does not end by waiting, since its process would get a new identity
   * then: it stays what it is until it is released or stopped.
   */
  expire(): void {
    if (this.expired && !this.#held && this.#renewing === undefined) this.finish('expired');
  }

  /** Renews now; calls that overlap share one renewal. Never rejects. */
  renew(): Promise<void> {
    this.#renewing ??= this.#renewOnce().finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  /** Tells the server what the runtime says now, where it has not been told. Never rejects. */
  async tell(): Promise<void> {
    await this.#renewing;
    if (this.#end === undefined && this.#told !== this.#parts.said()) await this.renew();
  }

  finish(end: ChildEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#takeBack();
    this.#svid = undefined;
    this.#parts.changed(this);
  }

  async #renewOnce(): Promise<void> {
    this.#takeBack();
    const { server, turn, facts, random, rotation } = this.#parts;
    try {
      const next = await turn(async () => {
        const seen = await facts();
        if (this.#end !== undefined) return undefined;
        if (seen !== undefined) this.#told = seen.runtime;
        return server.renew(this.#credential, seen);
      });
      if (next === undefined || this.#end !== undefined) return;
      this.#credential = next;
      this.#runtime = this.#told;
      this.#svid = undefined;
      this.#subjects = undefined;
      this.#received = this.#clocks();
      this.#failures = 0;
      this.#lastError = undefined;
      this.#takeBack = this.#plan(false);
      this.#parts.changed(this);
    } catch (error) {
      if (this.#end !== undefined) return;
      this.#lastError = error as Error;
      if (isWritError(error, 'revoked')) this.finish('stopped');
      else this.expire();
      if (this.#end === undefined) {
        this.#failures += 1;
        const whole = this.#credential.notAfter - this.#credential.notBefore - this.#passed();
        const left = this.#held ? HELD_MS : Math.max(0, whole);
        const pause = pauseOf(error, pauseAfter(this.#failures, left, random), random);
        this.#takeBack = rotation.after(pause, () => void this.renew());
      }
    }
  }

  #plan(first: boolean): () => void {
    return this.#parts.rotation.plan(this.#credential, first, () => void this.renew());
  }

  #clocks(): { readonly wall: number; readonly steady: number } {
    return { wall: this.#parts.clock.now(), steady: performance.now() };
  }

  #passed(): number {
    return Math.max(this.#parts.clock.now() - this.#received.wall, performance.now() - this.#received.steady);
  }
}

function derOf(pem: string): Uint8Array {
  return decodePem(pem, 'CERTIFICATE');
}

function svidOf({ key, spiffeId, certificate, chain, roots }: Credential, hint: string | undefined): X509Svid {
  return {
    spiffe_id: spiffeId,
    x509_svid: Buffer.concat([certificate, ...chain].map(derOf)),
    x509_svid_key: key.export({ type: 'pkcs8', format: 'der' }),
    bundle: Buffer.concat(roots.map(derOf)),
    ...(hint === undefined ? {} : { hint }),
  };
}

function subjectsOf({ spiffeId, certificate, chain }: Credential): readonly string[] {
  const { trustDomain } = parseSpiffeId(spiffeId);
  const issuers = chain.flatMap((pem) => issuerOf(parseCertificate(derOf(pem))));
  return [...new Set([...certificateFacts(derOf(certificate), trustDomain).subjects, ...issuers])];
}
