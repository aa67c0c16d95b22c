import { isWritError, WritError } from '../../base/error.ts';
import { parseSpiffeId, type SpiffeId } from '../../spiffe-id/spiffe-id.ts';
import type { Runtime } from '../../wire/runtime.ts';
import { currentRuntime, type RuntimeSource } from '../evidence/runtime-claims.ts';
import { AnyIdentity, type Federation } from '../identity/any-identity.ts';
import type { Credential } from '../identity/credential.ts';
import { pauseAfter } from '../identity/renewal.ts';
import type { JwtSvid } from '../jwt-svid.ts';
import { type MachineClock, machineClock } from '../machine-clock.ts';
import { WorkloadClient } from './client.ts';
import { parseWorkloadEndpoint, type WorkloadEndpoint } from './endpoint.ts';
import { federationOf } from './federated.ts';
import type { X509SvidResponse } from './messages.ts';
import { credentialOf, pemsOf } from './svid.ts';

export interface WorkloadApiOptions {
  /** `unix:///run/writ-agent/api.sock`, the path alone, or `tcp://IP:PORT`. Default: `SPIFFE_ENDPOINT_SOCKET`. */
  readonly socket?: string | undefined;
  /** Which of several identities, by its hint. Default: the first that is given. */
  readonly hint?: string | undefined;
  /**
   * Believes peers of federated trust domains, too, each by the roots of its own: at clients with `allow`, and at servers that
   * were given to `protect`. Default: our own trust domain alone.
   */
  readonly federation?: boolean | undefined;
  /**
   * What this process runs: said to the daemon before it is asked for an identity, and each time it was lost; a function is
   * asked each time. When it changes, say so with `presentRuntime`. Needs `writ agent`.
   */
  readonly runtime?: RuntimeSource | undefined;
  /** How long to wait for the first identity, in ms; meanwhile it is asked for again. Default 30 000. */
  readonly timeout?: number | undefined;
  /** This machine's, but in tests. */
  readonly clock?: MachineClock | undefined;
  /** Numbers from 0 to below 1. Default: `Math.random`; jitter is no secret. */
  readonly random?: (() => number) | undefined;
}

/** What a JWT-SVID says, or why nothing may rest on it. */
export type CheckedJwtSvid =
  | { readonly valid: true; readonly id: SpiffeId; readonly claims: Readonly<Record<string, unknown>> }
  | { readonly valid: false; readonly why: string };

const TIMEOUT_MS = 30_000;
/** A daemon that is started again is there within seconds. */
const LONGEST_PAUSE_MS = 5000;
/** Timers stand still while a machine sleeps, so a long wait is cut into pieces that look at the clock. */
const LONGEST_WAIT_MS = 30_000;

/**
 * This process's identity of the SPIFFE Workload API: of `writ agent`, or of any daemon that speaks it. Nothing is enrolled
 * and no secret is needed, since the daemon sees who calls. Rejects with what went wrong last when there is no identity
 * within `timeout`: `denied` where the daemon has none for this process, `unavailable` where there is no daemon.
 */
export async function fromWorkloadApi(options: WorkloadApiOptions = {}): Promise<WorkloadIdentity> {
  const { socket = process.env['SPIFFE_ENDPOINT_SOCKET'], timeout = TIMEOUT_MS } = options;
  if (socket === undefined || socket === '') {
    throw new WritError('bad_config', 'It is not said where the Workload API is.', {
      field: 'SPIFFE_ENDPOINT_SOCKET',
      remedy: 'Set it, or the option "socket", like unix:///run/writ-agent/api.sock.',
    });
  }
  const field = options.socket === undefined ? 'SPIFFE_ENDPOINT_SOCKET' : 'socket';
  const source = new WorkloadSource(parseWorkloadEndpoint(socket, field), options);
  return source.first(timeout);
}

/** Follows the stream, and connects again when it was lost. */
class WorkloadSource {
  readonly client: WorkloadClient;
  readonly clock: MachineClock;
  readonly federation: boolean;
  readonly #hint: string | undefined;
  #runtime: WorkloadApiOptions['runtime'];
  readonly #random: () => number;
  /** Told of each identity, and of each failure. */
  onChange: (credential: Credential, federated: Federated) => void = () => {};
  onLost: (error: Error) => void = () => {};
  #cancel: () => void = () => {};
  #wake: () => void = () => {};
  #closed = false;

  constructor(
    endpoint: WorkloadEndpoint,
    { hint, runtime, federation = false, clock = machineClock, random = Math.random }: WorkloadApiOptions,
  ) {
    this.client = new WorkloadClient(endpoint);
    this.clock = clock;
    this.federation = federation;
    this.#hint = hint;
    this.#runtime = runtime;
    this.#random = random;
  }

  /** Resolves with the first identity there is. */
  first(timeout: number): Promise<WorkloadIdentity> {
    return new Promise((resolve, reject) => {
      let last: Error | undefined;
      // Also keeps the process alive, which the connection does not.
      const late = setTimeout(() => {
        this.close();
        reject(last ?? new WritError('unavailable', 'The Workload API did not answer in time.'));
      }, timeout);
      this.onLost = (error) => {
        last = error;
        // What the daemon does not understand, it will not understand later.
        if (!isWritError(error, 'bad_request') && !isWritError(error, 'bad_config')) return;
        clearTimeout(late);
        this.close();
        reject(error);
      };
      this.onChange = (credential, federated) => {
        clearTimeout(late);
        resolve(new WorkloadIdentity(credential, federated, this));
      };
      void this.#run();
    });
  }

  close(): void {
    this.#closed = true;
    this.#cancel();
    this.#wake();
    this.client.close();
  }

  /** Says what the runtime is; `runtime` takes the place of what was to be said until now. */
  async present(runtime: WorkloadApiOptions['runtime'] = this.#runtime): Promise<void> {
    this.#runtime = runtime;
    if (runtime !== undefined) await this.client.present(await currentRuntime(runtime));
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    let failures = 0;
    while (!this.#closed) {
      try {
        await this.present();
        await this.client.follow(
          (answer) => {
            failures = 0;
            this.#take(answer);
          },
          (cancel) => {
            this.#cancel = cancel;
          },
        );
      } catch (error) {
        if (this.#closed) return;
        this.onLost(error as Error);
      }
      failures += 1;
      await this.#pause(pauseAfter(failures, 2 * LONGEST_PAUSE_MS, this.#random));
    }
  }

  #take({ svids, federated_bundles: bundles }: X509SvidResponse): void {
    const found = this.#hint === undefined ? svids[0] : svids.find(({ hint }) => hint === this.#hint);
    if (found === undefined) {
      // The stream stays: another one may come.
      const what = this.#hint === undefined ? 'no identity' : `no identity with the hint "${this.#hint}"`;
      this.onLost(new WritError('denied', `The Workload API has ${what} for this process.`));
      return;
    }
    const federated = Object.entries(bundles ?? {}).map(
      ([domain, der]) => [domain.replace(/^spiffe:\/\//, ''), pemsOf(der)] as const,
    );
    this.onChange(credentialOf(found), new Map(federated));
  }

  #pause(ms: number): Promise<void> {
    return new Promise((then) => {
      const timer = setTimeout(then, ms);
      timer.unref();
      this.#wake = () => {
        clearTimeout(timer);
        then();
      };
    });
  }
}

type Federated = ReadonlyMap<string, readonly string[]>;

/**
 * An identity that the Workload API keeps new. Its SPIFFE ID may change: a daemon that was started again lets its callers in
 * anew. While the daemon takes it back, or once it has expired, nothing is shown: servers refuse, clients throw, `ended` is
 * emitted; `renewed` when it is there again. What was connected before stays connected; a verifier cuts that.
 *
 * Nothing here keeps the process alive.
 */
export class WorkloadIdentity extends AnyIdentity {
  readonly #source: WorkloadSource;
  #federated: Federated;
  #federation: Federation | undefined;
  #expiry: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(credential: Credential, federated: Federated, source: WorkloadSource) {
    super(credential);
    this.#source = source;
    this.#federated = federated;
    source.onChange = (next, bundles) => this.#change(next, bundles);
    source.onLost = (error) => this.#lost(error);
    this.#watchExpiry(credential);
  }

  /** PEM of the roots of other trust domains that this identity is to know, by trust domain. */
  get federated(): Federated {
    return this.#federated;
  }

  /** A token for these audiences (one is best) and this SPIFFE ID. The daemon keeps it for half of its life. */
  async fetchJwtSvid(audience: string | readonly string[]): Promise<JwtSvid> {
    const { spiffeId } = this.credential;
    const asked = { audience: typeof audience === 'string' ? [audience] : audience, spiffe_id: spiffeId };
    const [found] = await this.#source.client.jwtSvids(asked);
    const expiresAt = found === undefined ? undefined : expiryOf(found.svid);
    if (found === undefined || found.spiffe_id !== spiffeId || expiresAt === undefined) {
      throw new WritError('internal', 'The Workload API gave a token that is none, or for somebody else.');
    }
    return { token: found.svid, spiffeId, expiresAt };
  }

  /** Whether a token was meant for this audience and is to be believed; also one of a federated trust domain. */
  async validateJwtSvid(token: string, audience: string): Promise<CheckedJwtSvid> {
    const said = await this.#source.client.validate({ audience, svid: token });
    return typeof said === 'string'
      ? { valid: false, why: said }
      : { valid: true, id: parseSpiffeId(said.spiffe_id), claims: said.claims };
  }

  /**
   * Says to the daemon what this process runs from now on; without `runtime` it is asked for anew, where it was given as a
   * function. An identity that was let in with something else is taken back (`ended`), and the authority quarantines it.
   */
  presentRuntime(runtime?: Runtime): Promise<void> {
    return this.#source.present(runtime);
  }

  close(): void {
    clearTimeout(this.#expiry);
    this.#source.close();
    this.release();
    if (!this.#closed) this.emit('closed', new WritError('unavailable', 'The identity is closed.'));
    this.#closed = true;
  }

  #change(next: Credential, federated: Federated): void {
    const { trustDomain } = parseSpiffeId(next.spiffeId);
    if (trustDomain !== this.trustDomain) {
      // Rules and servers were made for the other one.
      throw new WritError(
        'bad_certificate',
        `The Workload API gave an identity of another trust domain: ${trustDomain}.`,
      );
    }
    const known = JSON.stringify([...this.#federated]) === JSON.stringify([...federated]);
    if (known && this.shows(next)) return;
    this.#federated = federated;
    this.#federation = undefined;
    this.use(next);
    this.#watchExpiry(next);
  }

  protected override federation(): Federation | undefined {
    if (!this.#source.federation || this.#federated.size === 0) return undefined;
    // Nobody else says who belongs to us.
    this.#federation ??= federationOf(new Map([...this.#federated, [this.trustDomain, this.roots]]));
    return this.#federation;
  }

  #lost(error: Error): void {
    if (isWritError(error, 'denied')) this.#end(error);
    else this.emit('failed', error);
  }

  #end(why: Error): void {
    if (!this.#closed && this.withdraw(why)) this.emit('ended', why);
  }

  /**
   * Ends it with its certificate, once both clocks of this machine say so: one that is set, or wrong, tells nothing. The
   * daemon gives nothing that has expired, so where the clock says that, the clock is wrong.
   */
  #watchExpiry({ notBefore, notAfter }: Credential): void {
    const { clock } = this.#source;
    const [wall, steady] = [clock.wall(), clock.steady()];
    const life = notAfter > wall ? notAfter - wall : notAfter - notBefore;
    const look = (): void => {
      const left = life - Math.min(clock.wall() - wall, clock.steady() - steady);
      if (left > 0) {
        this.#expiry = setTimeout(look, Math.min(left, LONGEST_WAIT_MS));
        this.#expiry.unref();
      } else this.#end(new WritError('expired', 'The identity has expired, and the Workload API has not renewed it.'));
    };
    clearTimeout(this.#expiry);
    look();
  }
}

/** `exp` of a token that the daemon gave, in ms. The daemon is trusted, so nothing is verified. */
function expiryOf(token: string): number | undefined {
  try {
    const { exp } = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as { exp?: unknown };
    return typeof exp === 'number' ? exp * 1000 : undefined;
  } catch {
    return undefined;
  }
}
