import { EventEmitter } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { isWritError, WritError } from '../../base/error.ts';
import { Client } from '../../http/client.ts';
import { parseSpiffeId } from '../../spiffe-id/spiffe-id.ts';
import type { CanaryReport } from '../../wire/canary.ts';
import { POINT } from '../../wire/feed-points.ts';
import { enrol, openAuthority } from '../enrolment/authority.ts';
import { pemOf } from '../identity/credential.ts';
import { Identity } from '../identity/identity.ts';
import type { PeerRule } from '../peer/peer.ts';
import { checkWritServer } from '../peer/writ-server.ts';
import { Line } from './line.ts';
import { type ProbeLimits, probe } from './probe.ts';

/** An enforcement point that canaries look at. */
export interface CanaryPoint {
  /** Its name in Writ's records: letters, digits and . _ : - . */
  readonly point: string;
  /** What is called there: answers instances of the runner's agent with a status below 400, and does nothing. */
  readonly url: string;
  /** Milliseconds between two probes. Absent: `probe` is called when the program wants it. */
  readonly everyMs?: number | undefined;
  /** Who the point is. Absent: by the host name of its URL. */
  readonly peer?: PeerRule | undefined;
  /** PEM of the roots of its certificate, where another authority certified it. */
  readonly roots?: readonly string[] | undefined;
}

export interface CanaryOptions {
  /** The runner's own: an instance of an agent that may report (`docs/CANARY.md`). It lets in, stops, and is the control. */
  readonly identity: Identity;
  readonly points: readonly CanaryPoint[];
  /** `https://host:port` of the API. Default: where the identity enrolled. */
  readonly server?: string | undefined;
  /** For tests. */
  readonly limits?: Partial<ProbeLimits> | undefined;
}

export interface CanaryEvents {
  /** A probe came to an end, whatever it found. */
  measured: [CanaryReport];
  /** A child was still accepted beyond the limit. */
  alarm: [CanaryReport];
  /** A probe could not be made, or a report not delivered; it is tried again. */
  failed: [point: string, Error];
}

/** A child outlives a crash of its runner by so much at most: nobody renews it. */
const CHILD_SECONDS = 300;
const TOKEN_SECONDS = 60;
/** A probe takes at most some 20 s, and they are made one after another, so as not to disturb each other's times. */
const LEAST_MS_EACH = 15_000;
const RETRY_MS = 30_000;
const RESEND_MS = 5000;

/**
 * Looks at enforcement points on a schedule: has a child stopped and calls until it is refused (`docs/CANARY.md`). Reports
 * that cannot be delivered wait, the latest of each point, and are sent again.
 */
export class CanaryRunner extends EventEmitter<CanaryEvents> {
  readonly #identity: Identity;
  readonly #points: readonly CanaryPoint[];
  readonly #client: Client;
  readonly #limits: Partial<ProbeLimits> | undefined;
  readonly #unsent = new Map<string, CanaryReport>();
  readonly #onRenewed: () => void;

  /** Throws `bad_config` for a point that cannot be. */
  constructor({ identity, points, server = identity.server, limits }: CanaryOptions) {
    super();
    if (server === undefined) throw fault('server', 'Give the address of the API, like https://ca.internal:8443.');
    checkPoints(points);
    this.#identity = identity;
    this.#points = points;
    this.#limits = limits;
    const { credential } = identity;
    const checkServer = checkWritServer(parseSpiffeId(identity.spiffeId).trustDomain);
    this.#client = new Client({ server, roots: credential.roots, credential: pemOf(credential), checkServer });
    this.#onRenewed = () => this.#client.setCredential(pemOf(identity.credential), identity.credential.roots);
    identity.on('renewed', this.#onRenewed);
  }

  /** Points whose latest report is not delivered. */
  get unsent(): readonly string[] {
    return [...this.#unsent.keys()];
  }

  /**
   * Looks at all points that have a period until the signal says so, each at once and then once a period. Rejects when the
   * identity has ended, or was stopped.
   */
  async run(signal: AbortSignal): Promise<void> {
    if (!this.#points.some(hasPeriod)) throw fault('every', 'Say how often a point is looked at.');
    const begun = performance.now();
    const due = new Map(this.#points.filter(hasPeriod).map((point) => [point, begun]));
    const ended = new AbortController();
    const onEnded = (error: Error): void => ended.abort(error);
    this.#identity.on('ended', onEnded);
    const ending = AbortSignal.any([signal, ended.signal]);
    try {
      for (;;) {
        const [point, at] = [...due].reduce((first, other) => (other[1] < first[1] ? other : first));
        await this.#waitUntil(at, ending);
        const next = await this.#look(point, ending);
        due.set(point, performance.now() + next * (0.95 + Math.random() / 10));
      }
    } catch (error) {
      if (!signal.aborted) throw ended.signal.aborted ? ended.signal.reason : error;
    } finally {
      this.#identity.off('ended', onEnded);
    }
  }

  /**
   * Looks at one point now, and reports. Gives what was found. Throws when Writ did not let a child in or did not acknowledge
   * its stop. The child is stopped in any case, as far as Writ can be reached.
   */
  async probe(point: CanaryPoint, signal: AbortSignal = new AbortController().signal): Promise<CanaryReport> {
    const report = await this.#measure(point, signal);
    this.#unsent.set(point.point, report);
    this.emit('measured', report);
    if (report.verdict === 'still_accepted') this.emit('alarm', report);
    await this.#send();
    return report;
  }

  /** Lets go of the connections; the identity stays as it is. */
  close(): void {
    this.#identity.off('renewed', this.#onRenewed);
    this.#client.close();
  }

  /** One probe; gives the milliseconds until the next. */
  async #look(point: CanaryPoint & { readonly everyMs: number }, signal: AbortSignal): Promise<number> {
    const begun = performance.now();
    try {
      await this.probe(point, signal);
      return Math.max(0, point.everyMs - (performance.now() - begun));
    } catch (error) {
      signal.throwIfAborted();
      // For ever: whoever stopped the runner wanted it to end.
      if (isWritError(error, 'revoked')) throw error;
      this.emit('failed', point.point, error as Error);
      return Math.min(point.everyMs, RETRY_MS);
    }
  }

  async #waitUntil(at: number, signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      const left = at - performance.now();
      if (left <= 0) return;
      await pause(this.#unsent.size === 0 ? left : Math.min(left, RESEND_MS), undefined, { signal });
      await this.#send();
    }
  }

  async #measure({ point, url, everyMs, peer, roots }: CanaryPoint, signal: AbortSignal): Promise<CanaryReport> {
    const child = await this.#letIn();
    const id = parseSpiffeId(child.spiffeId).segments.at(-1)!;
    const line = (identity: Identity, kept: boolean): Line => {
      const options = identity.clientOptions(peer === undefined ? {} : { allow: peer });
      return new Line({ url, kept, tls: roots === undefined ? options : { ...options, ca: [...roots] } });
    };
    const lines = [line(child, true), line(child, false), line(this.#identity, false)] as const;
    const [kept, fresh, control] = lines;
    let stopped = false;
    const stop = async (): Promise<void> => {
      await this.#client.json({
        method: 'POST',
        path: `/v1/instances/${id}/stop`,
        body: { cause: 'task_completed' },
      });
      stopped = true;
    };
    try {
      const found = await probe({
        ...{ kept, fresh, control, stop, signal },
        ...(this.#limits === undefined ? {} : { limits: this.#limits }),
      });
      const period = everyMs === undefined ? {} : { period_seconds: Math.ceil(everyMs / 1000) };
      return { point, child: id, ...found, ...period };
    } finally {
      for (const one of lines) one.close();
      child.close();
      if (!stopped) await stop().catch((error: Error) => this.emit('failed', point, error));
    }
  }

  /** A new instance of the runner's own agent, below the runner. */
  async #letIn(): Promise<Identity> {
    const [kind, name] = parseSpiffeId(this.#identity.spiffeId).segments;
    const { token } = await this.#client.json<{ readonly token: string }>({
      method: 'POST',
      path: '/v1/tokens',
      body: { [kind!]: name, uses: 1, lifetime_seconds: TOKEN_SECONDS },
    });
    const { credential, home } = await enrol(token, { lifetimeSeconds: CHILD_SECONDS });
    return new Identity(credential, openAuthority(home, credential.spiffeId));
  }

  /** Sends what waits. What the server will never take is dropped, and said. */
  async #send(): Promise<void> {
    for (const [point, report] of this.#unsent) {
      try {
        await this.#client.json({ method: 'POST', path: '/v1/feed/canaries', body: report });
      } catch (error) {
        this.emit('failed', point, error as Error);
        if (isPassing(error)) return;
      }
      if (this.#unsent.get(point) === report) this.#unsent.delete(point);
    }
  }
}

function isPassing(error: unknown): boolean {
  const codes = ['unavailable', 'rate_limited', 'storage_failed', 'behind_anchor', 'clock', 'internal'] as const;
  return !isWritError(error) || codes.some((code) => isWritError(error, code));
}

function hasPeriod(point: CanaryPoint): point is CanaryPoint & { readonly everyMs: number } {
  return point.everyMs !== undefined;
}

/** Throws `bad_config` for points that cannot be looked at, so that nobody is let in for nothing. */
export function checkPoints(points: readonly CanaryPoint[]): void {
  const names = new Set(points.map(({ point }) => point));
  if (points.length === 0 || names.size < points.length) throw fault('points', 'Name each point once.');
  const least = points.length * LEAST_MS_EACH;
  for (const { point, url, everyMs } of points) {
    if (!POINT.test(point)) throw fault('point', 'Use 1 to 64 letters, digits and . _ : -');
    if (!URL.canParse(url) || !url.startsWith('https://')) throw fault('url', 'Give an https:// URL.');
    if (everyMs !== undefined && !(everyMs >= least)) {
      throw fault('every', `Give at least ${least / 1000} s: 15 s for each point, since they are looked at in turn.`);
    }
  }
}

function fault(field: string, remedy: string): WritError {
  return new WritError('bad_config', 'A point for canaries cannot be looked at like that.', { field, remedy });
}
