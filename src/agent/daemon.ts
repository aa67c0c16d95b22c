import { EventEmitter } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { type Clock, systemClock } from '../base/clock.ts';
import { isWritError } from '../base/error.ts';
import type { Credential } from '../sdk/identity/credential.ts';
import type { Identity } from '../sdk/identity/identity.ts';
import { certificateFacts } from '../sdk/peer/facts.ts';
import { createVerifier, type Verifier } from '../sdk/verifier/verifier.ts';
import { WORKLOAD_FILE } from '../sdk/workload-api/messages.ts';
import { RUNTIME_FILE } from '../sdk/workload-api/runtime-messages.ts';
import { parseSpiffeId } from '../spiffe-id/spiffe-id.ts';
import type { Entry } from '../wire/entry.ts';
import { AdminEndpoint } from './admin.ts';
import type { Collector } from './collect/collector.ts';
import { containerCollector } from './collect/container.ts';
import { type KubeletOptions, kubernetesCollector } from './collect/kubernetes.ts';
import { systemdCollector } from './collect/systemd.ts';
import { unixCollector } from './collect/unix.ts';
import { Lists } from './lists.ts';
import { openNative } from './process/native.ts';
import { ProgramFiles } from './process/program-files.ts';
import { ProcessTable } from './process/table.ts';
import { Refusals } from './refusals.ts';
import { SDS_FILE } from './sds/messages.ts';
import { sdsMethods } from './sds/sds.ts';
import { type NodeServer, openNodeServer } from './server.ts';
import { Trust } from './trust.ts';
import { type Why, whyOf } from './why.ts';
import { Endpoint } from './workload-api/endpoint.ts';
import { runtimeMethods } from './workload-api/runtime-service.ts';
import { ListeningSocket, prepareSocket, type SocketPlace } from './workload-api/socket.ts';
import { Updates } from './workload-api/stream.ts';
import { Tokens } from './workload-api/tokens.ts';
import { workloadMethods } from './workload-api/workload-api.ts';
import { Rotation } from './workloads/rotation.ts';
import { Workloads } from './workloads/workloads.ts';

export interface DaemonOptions {
  /** Of the node, which is an instance of a service. Stays the caller's to close. */
  readonly identity: Identity;
  readonly socket: string;
  /** Mode of the socket. Default 0o777: who may have an identity, the entries say. */
  readonly socketMode?: number | undefined;
  /** Where `writ agent why` asks. */
  readonly admin: string;
  /** Docker's socket; absent: nothing is asked of Docker. */
  readonly docker?: string | undefined;
  readonly kubelet?: KubeletOptions | undefined;
  /** Tokens a second that one instance may have fetched; ten times as many at once. */
  readonly tokenRate?: number | undefined;
  readonly clock?: Clock | undefined;
  readonly random?: (() => number) | undefined;
  /** In place of the server that the identity names. */
  readonly server?: NodeServer | undefined;
}

export interface DaemonEvents {
  /** Something worth a line: what went wrong, or is well again. */
  said: [string];
  /** The machine itself was stopped, and with it all that it let in. */
  stopped: [];
}

/** How long callers wait for the first answer of the server before the socket is there. */
const FIRST_MS = 2000;
const SILENT_MS = 1500;
const SWEEP_MS = 250;
/** Of so many sweeps, each looks at the programs of its part of the processes. */
const PROGRAM_TURNS = 20;
const ENTRIES_MS = 5000;
const TRUST_MS = 30_000;
const LISTS_MS = 60_000;
/** After the feed has moved: lists are signed a moment later. */
const LISTS_SOON_MS = 2000;
/** Callers without identity make entries be asked for at once, but not more often than this. */
const ASKED_MS = 1000;

/** Serves identities to the workloads of this machine, until it is closed. */
export class Daemon extends EventEmitter<DaemonEvents> {
  readonly verifier: Verifier;
  readonly workloads: Workloads;
  readonly #processes: ProcessTable;
  readonly #collectors: readonly Collector[];
  readonly #identity: Identity;
  readonly #server: NodeServer;
  readonly #rotation: Rotation;
  readonly #trust: Trust;
  readonly #lists: Lists;
  readonly #refusals: Refusals;
  readonly #endpoint: Endpoint;
  readonly #admin: AdminEndpoint;
  readonly #timers: NodeJS.Timeout[] = [];
  #sockets: ListeningSocket[] = [];
  #turn = 0;
  #over = false;
  #silent = false;

  private constructor(options: DaemonOptions) {
    super();
    const { identity, clock = systemClock, random = Math.random } = options;
    this.#identity = identity;
    const native = openNative();
    native.forbidDumps();
    this.#processes = new ProcessTable(native);
    this.#server = options.server ?? openNodeServer(identity);
    this.#rotation = new Rotation(clock, random);
    const updates = new Updates();
    this.#trust = new Trust(identity, this.#server, () => updates.notify());
    this.#lists = new Lists(
      () => clock.now(),
      () => updates.notify(),
    );
    this.#refusals = new Refusals((refusals, key) => this.#server.refused(refusals, key), clock, random);
    this.verifier = createVerifier({ identity, mode: 'available' });
    const programs = new ProgramFiles();
    this.#collectors = [
      unixCollector(programs),
      systemdCollector(),
      containerCollector(options.docker === undefined ? undefined : { socketPath: options.docker }),
      ...(options.kubelet === undefined ? [] : [kubernetesCollector(options.kubelet)]),
    ];
    this.workloads = new Workloads({
      ...{
        server: this.#server,
        processes: this.#processes,
        programs,
        collectors: this.#collectors,
        rotation: this.#rotation,
        clock,
        random,
      },
      fallen: (subjects) => this.verifier.fallen(subjects),
      unmatched: () => this.#askSoon(),
      endOf: (caller) => this.#endpoint.endOf(caller),
      refused: ({ uid }, fault, program) => this.#refusals.add({ fault, uid, program }),
      renewed: ({ credential }) => this.#learn(credential),
    });
    const tokens = new Tokens(this.#server, options.tokenRate);
    this.#endpoint = new Endpoint({
      processes: this.#processes,
      methods: [
        ...workloadMethods({
          ...{ workloads: this.workloads, trust: this.#trust, tokens, clock, updates },
          lists: () => this.#lists.current,
          fallen: (subjects) => this.verifier.fallen(subjects),
        }),
        ...runtimeMethods({ workloads: this.workloads }),
        ...sdsMethods({
          ...{ workloads: this.workloads, trust: this.#trust, updates },
          refused: (why) => this.emit('said', `a proxy did not take its secrets: ${oneLine(why)}`),
        }),
      ],
      files: [WORKLOAD_FILE, RUNTIME_FILE],
      services: [SDS_FILE],
      refused: (refusal) => this.#refusals.add(refusal),
      failed: (error) => this.emit('said', `a call failed: ${(error as Error).stack ?? String(error)}`),
    });
    this.#admin = new AdminEndpoint({
      native,
      why: (pid) => this.why(pid),
      status: () => this.status(),
    });
  }

  /**
   * Looks whether the sockets can be had, before whoever starts one spends a join token that is good once. Throws as `start`.
   */
  static async prepare({ socket, admin }: Pick<DaemonOptions, 'socket' | 'admin'>): Promise<void> {
    for (const place of [publicPlace(socket), adminPlace(admin)]) await prepareSocket(place);
  }

  /** Starts one: asks the server first, for so long, and serves whatever it says. Throws where a socket cannot be had. */
  static async start(options: DaemonOptions): Promise<Daemon> {
    const daemon = new Daemon(options);
    try {
      await daemon.#open(options);
      return daemon;
    } catch (error) {
      await daemon.close();
      throw error;
    }
  }

  /** What is seen of a process now, and what follows from it. Throws `not_found`. */
  why(pid: number): Promise<Why> {
    const [, service] = parseSpiffeId(this.#identity.spiffeId).segments;
    return whyOf(pid, {
      ...{ processes: this.#processes, collectors: this.#collectors, workloads: this.workloads },
      ...{ silent: this.#silent, subject: `agent:${service}` },
    });
  }

  /** Asks the server for everything now. */
  async refresh(): Promise<void> {
    await Promise.all([this.#askEntries(), this.#askTrust(), this.#lists.refresh()]);
  }

  status(): object {
    return {
      entries: this.workloads.entries?.entries.length ?? null,
      identities: this.workloads.children.size,
      processes: this.#processes.size,
      pidfd: this.#processes.exact,
      feed_age_ms: Number.isFinite(this.verifier.age) ? Math.round(this.verifier.age) : null,
      lists: this.#lists.current.length,
      missing_lists: this.#lists.faults,
      untold_refusals: this.#refusals.untold,
      dropped_refusals: this.#refusals.dropped,
    };
  }

  async close(): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    for (const timer of this.#timers) clearInterval(timer);
    this.workloads.close();
    await this.#endpoint.close();
    this.#admin.close();
    await Promise.all(this.#sockets.map((socket) => socket.close()));
    this.#rotation.close();
    this.verifier.close();
    await this.#refusals.close();
    this.#server.close();
  }

  async #open(options: DaemonOptions): Promise<void> {
    const { identity, socket, socketMode = 0o777, admin } = options;
    this.#learn(identity.credential);
    identity.on('renewed', (next) => this.#learn(next));
    this.verifier.on('entry', ({ subjects, also = [] }) => {
      this.workloads.judge([...subjects, ...also]);
      this.#judgeSelf();
      this.#later(() => void this.#lists.refresh(), LISTS_SOON_MS);
    });
    // Refused rather than served late: another daemon may be there.
    this.#sockets.push(
      await ListeningSocket.listen({
        ...adminPlace(admin),
        mode: 0o600,
        accept: (one) => this.#admin.accept(one),
      }),
    );
    // A server that is silent keeps nobody from being told so.
    await Promise.race([this.refresh(), pause(FIRST_MS, undefined, { ref: false })]);
    this.#sockets.push(
      await ListeningSocket.listen({
        ...publicPlace(socket),
        mode: socketMode,
        accept: (one) => this.#endpoint.accept(one),
        restored: () => this.emit('said', 'the socket had been removed, and is there again'),
      }),
    );
    this.#every(SWEEP_MS, () => {
      this.workloads.sweep();
      this.#refusals.turn();
      this.workloads.checkPrograms(this.#turn++, PROGRAM_TURNS);
      // What the feed holds may have been taken over anew, of which no entry tells.
      if (this.#turn % 4 === 0) this.#judgeAll();
      // The feed says something each second: where it does not, the server says whether this machine may still read it.
      if (Number.isFinite(this.verifier.age) && this.verifier.age > SILENT_MS) void this.#askSoon();
    });
    this.#every(ENTRIES_MS, () => void this.#askEntries());
    this.#every(TRUST_MS, () => void this.#askTrust());
    this.#every(LISTS_MS, () => void this.#lists.refresh());
  }

  #judgeAll(): void {
    this.workloads.judge();
    this.#judgeSelf();
  }

  #own: { readonly of: string; readonly subjects: readonly string[] } | undefined;
  #fell = false;

  /** What a machine let in falls with it, also before each is named. */
  #judgeSelf(): void {
    const { credential, trustDomain } = this.#identity;
    const { certificate } = credential;
    if (this.#own?.of !== certificate) {
      this.#own = { of: certificate, subjects: certificateFacts(Buffer.from(certificate), trustDomain).subjects };
    }
    if (this.verifier.fallen(this.#own.subjects) === 'stopped') this.#fall();
  }

  #fall(): void {
    if (this.#fell) return;
    this.#fell = true;
    for (const child of this.workloads.children) child.finish('stopped');
    this.emit('stopped');
  }

  /** What a new certificate tells of the authorities above it. */
  #learn(credential: Credential): void {
    this.#lists.learn(credential);
    this.#trust.learn(credential.roots);
  }

  #asking: Promise<void> | undefined;
  #askedAt = Number.NEGATIVE_INFINITY;

  /** Asks for the entries, once for all who want to know. Never rejects. */
  #askEntries(): Promise<void> {
    this.#asking ??= this.#server
      .entries()
      .then(
        (entries) => {
          if (entries !== undefined) {
            this.workloads.setEntries(entries);
            this.#federate(entries);
          }
          this.#heard(undefined);
        },
        (error: Error) => this.#heard(error),
      )
      .finally(() => {
        this.#asking = undefined;
        this.#askedAt = performance.now();
      });
    return this.#asking;
  }

  #federated = '';

  /** The server gives the bundles that the entries name: asked for at once where they name others. */
  #federate(entries: readonly Entry[]): void {
    const federated = [...new Set(entries.flatMap(({ federates_with: domains }) => domains))].sort().join();
    if (federated === this.#federated) return;
    this.#federated = federated;
    void this.#askTrust();
  }

  /** For a caller whom no entry matches: one may have been created just now. */
  async #askSoon(): Promise<void> {
    if (performance.now() - this.#askedAt > ASKED_MS) await this.#askEntries();
  }

  async #askTrust(): Promise<void> {
    await this.#trust.refresh().then(
      () => this.#heard(undefined),
      (error: Error) => this.#heard(error),
    );
  }

  /** Says once when the server falls silent, and once when it is there again. */
  #heard(error: Error | undefined): void {
    // Whoever is stopped may be cut off before it hears why.
    if (isWritError(error, 'revoked')) this.#fall();
    const silent = error !== undefined;
    if (silent === this.#silent || this.#over) return;
    this.#silent = silent;
    this.emit('said', error === undefined ? 'the server answers' : faultOf(error));
  }

  #every(milliseconds: number, run: () => void): void {
    const timer = setInterval(run, milliseconds);
    timer.unref();
    this.#timers.push(timer);
  }

  #soon: NodeJS.Timeout | undefined;

  #later(run: () => void, milliseconds: number): void {
    if (this.#soon !== undefined) return;
    this.#soon = setTimeout(() => {
      this.#soon = undefined;
      run();
    }, milliseconds);
    this.#soon.unref();
  }
}

/** What somebody else says, as a line of a log can have it. */
function oneLine(text: string): string {
  return text.slice(0, 500).replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, '?');
}

/** A server that refuses does answer, and says what would be right. */
function faultOf(error: Error): string {
  if (!isWritError(error) || error.code === 'unavailable') return `the server does not answer: ${error.message}`;
  return `the server refuses: ${[error.message, error.remedy ?? ''].join(' ').trim()}`;
}

function adminPlace(path: string): SocketPlace {
  return { path, directoryMode: 0o700, field: '--admin-socket' };
}

function publicPlace(path: string): SocketPlace {
  return { path, directoryMode: 0o755, field: '--socket' };
}
