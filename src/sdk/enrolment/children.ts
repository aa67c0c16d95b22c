import { isWritError, WritError } from '../../base/error.ts';
import { Client } from '../../http/client.ts';
import { parseSpiffeId } from '../../spiffe-id/spiffe-id.ts';
import type { StartChild } from '../../wire/workload.ts';
import { currentRuntime, type RuntimeSource } from '../evidence/runtime-claims.ts';
import type { AnyIdentity } from '../identity/any-identity.ts';
import { type Credential, csrFor, newKey, pemOf } from '../identity/credential.ts';
import { Identity } from '../identity/identity.ts';
import { checkWritServer } from '../peer/writ-server.ts';
import { type CertificateAnswer, rootsAfter, toCredential } from './authority.ts';
import { ChildIdentity } from './child-identity.ts';

export interface ChildrenOptions {
  /** Where the authority is, `https://host:port`. Default: where the identity's own is, which one of the Workload API does not say. */
  readonly server?: string | undefined;
}

export interface ChildOptions {
  /** Name of the agent or service that it is a copy of. */
  readonly agent: string;
  /**
   * What it is called by here: printable ASCII without spaces, at most 255. The same is the same instance, for as long as the
   * parent is: also after a lost answer. One that was stopped does not come back.
   */
  readonly reference: string;
  /** Only by a registration entry for this workflow. */
  readonly workflow?: string | undefined;
  /** What it runs; said again with each renewal. A function is asked each time: an answer that has changed quarantines it. */
  readonly runtime?: RuntimeSource | undefined;
  readonly lifetimeSeconds?: number | undefined;
  readonly dnsNames?: readonly string[] | undefined;
  /** Narrower than those of the entry. */
  readonly scopes?: readonly string[] | undefined;
}

/**
 * The instances that this program runs in its own process, as the instance of a service that it is itself: each has an
 * identity of its own, whose key is made here. Who may be one, registration entries for the service say (`docs/ATTESTATION.md`).
 */
export function childrenOf(parent: AnyIdentity, { server = parent.server }: ChildrenOptions = {}): Children {
  if (server !== undefined) return new Children(parent, server);
  throw new WritError('bad_config', 'It is not said where the authority is.', {
    field: 'server',
    remedy: 'Give "server", like https://ca.internal:8443: the Workload API does not say it.',
  });
}

/** All fall with their parent. They are closed with it, too. */
export class Children implements Iterable<ChildIdentity> {
  readonly #parent: AnyIdentity;
  readonly #client: Client;
  readonly #server: string;
  readonly #running = new Map<string, { readonly agent: string; readonly child: Promise<ChildIdentity> }>();
  readonly #living = new Map<string, ChildIdentity>();
  readonly #onEnded = (error: Error): void => this.#suspend(error);
  readonly #onRenewed = (next: Credential): void => this.#show(next);
  readonly #onClosed = (error: Error): void => (isWritError(error, 'revoked') ? this.#suspend(error) : this.close());
  #over = false;

  constructor(parent: AnyIdentity, server: string) {
    this.#parent = parent;
    this.#server = server;
    const { credential, trustDomain } = parent;
    this.#client = new Client({
      ...{ server, roots: credential.roots, credential: pemOf(credential), checkServer: checkWritServer(trustDomain) },
    });
    parent.on('renewed', this.#onRenewed).on('ended', this.#onEnded).on('closed', this.#onClosed);
  }

  /**
   * An identity for what is called so; of one that runs already that very identity. It renews itself until it is stopped or
   * closed. Throws `denied` where no entry lets it in, `revoked` where it was stopped, `inactive` where it is held, `conflict`
   * where the reference is that of another agent.
   */
  async start(options: ChildOptions): Promise<ChildIdentity> {
    const { agent, reference } = options;
    const known = this.#running.get(reference);
    if (known !== undefined && known.agent !== agent) {
      throw new WritError('conflict', 'The reference is that of an instance of another agent.', {
        field: 'reference',
        remedy: 'Give each instance a reference of its own.',
      });
    }
    if (known !== undefined) return known.child;
    if (this.#over) throw new WritError('unavailable', 'The parent of these instances is closed.');
    const child = this.#start(options);
    this.#running.set(reference, { agent, child });
    child.catch(() => this.#running.delete(reference));
    return child;
  }

  /** The one that is called so and runs here; undefined where there is none. */
  get(reference: string): ChildIdentity | undefined {
    return this.#living.get(reference);
  }

  get size(): number {
    return this.#living.size;
  }

  [Symbol.iterator](): Iterator<ChildIdentity> {
    return this.#living.values();
  }

  /** Renews none any more. They are not stopped: who asks for the same references again goes on with them. */
  close(): void {
    this.#over = true;
    this.#parent.off('renewed', this.#onRenewed).off('ended', this.#onEnded).off('closed', this.#onClosed);
    for (const child of [...this.#living.values()]) child.close();
    this.#client.close();
  }

  async #start(options: ChildOptions): Promise<ChildIdentity> {
    const { agent, reference, workflow, runtime, lifetimeSeconds, dnsNames, scopes } = options;
    const said = async () => (runtime === undefined ? undefined : currentRuntime(runtime));
    const credential = await this.#ask('/v1/children', this.#parent.roots, {
      ...{ agent, reference },
      ...defined({ workflow, scopes, runtime: await said(), lifetime_seconds: lifetimeSeconds, dns_names: dnsNames }),
    });
    const instance = parseSpiffeId(credential.spiffeId).segments.at(-1)!;
    const child = new ChildIdentity(credential, {
      ...{ reference, server: this.#server },
      renew: async (current) => {
        const body = defined({ runtime: await said(), dns_names: dnsNames });
        const next = await this.#ask(`/v1/workloads/${instance}/renew`, current.roots, body);
        if (next.spiffeId === current.spiffeId) return next;
        throw new WritError('bad_certificate', 'The server answered with a certificate for somebody else.');
      },
      stop: async (_current, cause) => {
        await this.#client.json({ method: 'POST', path: `/v1/instances/${instance}/stop`, body: { cause } });
      },
      close: () => {
        this.#running.delete(reference);
        this.#living.delete(reference);
      },
    });
    if (this.#over) {
      child.close();
      throw new WritError('unavailable', 'The parent of these instances was closed meanwhile.');
    }
    this.#living.set(reference, child);
    // One that was stopped is not given out again; the authority says so to who asks for it.
    child.on('ended', () => !child.suspended && child.close());
    return child;
  }

  /** A certificate for a fresh key, as its parent asks for it. */
  async #ask(path: string, roots: readonly string[], body: Partial<StartChild>): Promise<Credential> {
    this.#requireShown();
    const key = newKey(roots[0]!);
    const answer = await this.#client.json<CertificateAnswer>({
      ...{ method: 'POST', path, body: { csr: await csrFor(key), ...body } },
    });
    return toCredential(answer, key, rootsAfter(roots, answer));
  }

  /** Throws why the parent has nothing to show. */
  #requireShown(): Credential {
    return this.#parent.credential;
  }

  #suspend(error: Error): void {
    for (const child of [...this.#living.values()]) child.suspend(error);
    // One of the Workload API may come back.
    if (this.#parent instanceof Identity || isWritError(error, 'revoked')) this.close();
  }

  #show(next: Credential): void {
    this.#client.setCredential(pemOf(next), next.roots);
    for (const child of this.#living.values()) child.resume();
  }
}

function defined<T extends object>(given: { readonly [K in keyof T]: T[K] | undefined }): Partial<T> {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Partial<T>;
}
