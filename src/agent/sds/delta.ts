import { createHash } from 'node:crypto';
import { WritError } from '../../base/error.ts';
import type { Answers } from '../../grpc/server-method.ts';
import type { CallerProcess } from '../process/table.ts';
import { type FollowParts, follow } from '../workload-api/stream.ts';
import type { Child } from '../workloads/child.ts';
import type { DeltaRequest, DeltaResponse, Packed } from './messages.ts';

export const SECRET_TYPE = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret';
/** Names that one stream may ask for. */
const MOST_NAMES = 1000;
/** Octets of one of them: the longest is a SPIFFE ID (SPIFFE-ID §2.3). What is asked for is kept. */
const LONGEST_NAME = 2048;
/** Asks for all that there is (xDS protocol, "How the client specifies what resources to return"). */
const WILDCARD = '*';

export interface NamedSecret {
  readonly name: string;
  readonly packed: Packed;
}

export interface DeltaParts extends FollowParts {
  /** What of these names there is for the identities; all where none is named. */
  readonly made: (children: readonly Child[], names: readonly string[]) => readonly NamedSecret[];
  /** Told why an answer was not taken. */
  readonly refused: (why: string) => void;
}

/**
 * The incremental variant (xDS protocol, "Incremental xDS"): a stream says what it wants and what not any more, and hears of
 * each of these when it is another one, or not there any more. An answer that was refused is not sent again until the secret
 * is another one.
 */
export async function deltaSecrets(
  requests: AsyncIterable<DeltaRequest>,
  answers: Answers<CallerProcess, DeltaResponse>,
  parts: DeltaParts,
): Promise<void> {
  const state = new Subscriptions();
  let answered = 0;
  let refused = 0;
  let again: (() => void) | undefined;
  const take = (children: readonly Child[]): void => {
    const { resources, removed } = state.changes((names) => parts.made(children, names));
    if (resources.length === 0 && removed.length === 0) return;
    answered += 1;
    answers.send({
      ...{ system_version_info: String(answered), nonce: String(answered), type_url: SECRET_TYPE },
      ...{ resources, removed_resources: removed },
    });
  };
  for await (const asked of requests) {
    requireSecrets(asked.type_url);
    const about = Number(asked.response_nonce);
    // Once for each answer: what is said goes into the daemon's log.
    if (asked.error_detail !== undefined && about > refused && about <= answered) {
      refused = about;
      parts.refused(asked.error_detail.message);
    }
    // Whether it answers the newest answer or an older one, what it says of names holds: each request is a step of its own.
    const changed = state.hear(asked);
    requireFewNames(state.size);
    requireShortNames(asked.resource_names_subscribe);
    if (again === undefined) again = await follow(answers, parts, take);
    else if (changed) again();
  }
}

/** What one stream has asked for, and what it has of that. */
class Subscriptions {
  readonly #names = new Set<string>();
  #all = false;
  #begun = false;
  /** What it has, by name: the version, or undefined for what it was told that there is not. */
  readonly #has = new Map<string, string | undefined>();
  /** Names let go of that it is to be told of still: it is told when it has taken what was sent before. */
  #untold = 0;

  get size(): number {
    return Math.max(this.#names.size, this.#untold);
  }

  /** Gives whether something else is asked for now, or something anew. */
  hear({
    resource_names_subscribe: wanted,
    resource_names_unsubscribe: unwanted,
    initial_resource_versions: known,
  }: DeltaRequest): boolean {
    if (!this.#begun) {
      // One that begins by naming nothing wants all. What it says that it has, it is not sent again.
      this.#all = wanted.length === 0;
      for (const [name, version] of Object.entries(known)) this.#has.set(name, version);
    }
    for (const name of wanted) {
      if (name === WILDCARD) this.#all = true;
      else {
        // Who asks for a name again is sent it again.
        if (this.#begun) this.#has.delete(name);
        this.#names.add(name);
      }
    }
    for (const name of unwanted) {
      if (name === WILDCARD) this.#all = false;
      // Who wants all and this one not by name any more is told whether it has it by the former still.
      else if (this.#names.delete(name)) this.#forget(name);
    }
    this.#begun = true;
    return wanted.length > 0 || unwanted.length > 0;
  }

  #forget(name: string): void {
    if (this.#all) {
      this.#has.set(name, '');
      this.#untold += 1;
    } else this.#has.delete(name);
  }

  /** What is another one than the stream has, and which of what it has or has named is not there. */
  changes(made: (names: readonly string[]) => readonly NamedSecret[]): {
    readonly resources: DeltaResponse['resources'];
    readonly removed: readonly string[];
  } {
    this.#untold = 0;
    const found = new Map<string, NamedSecret>();
    if (this.#all) for (const one of made([])) found.set(one.name, one);
    if (this.#names.size > 0) for (const one of made([...this.#names])) found.set(one.name, one);
    const resources: DeltaResponse['resources'][number][] = [];
    for (const [name, { packed }] of found) {
      const version = versionOf(packed);
      if (this.#has.get(name) === version) continue;
      this.#has.set(name, version);
      resources.push({ name, version, resource: packed });
    }
    const removed: string[] = [];
    for (const name of new Set([...this.#names, ...this.#has.keys()])) {
      if (found.has(name)) continue;
      const named = this.#names.has(name);
      // What it was told of by name and is not there, it is told once; what it does not want any more, it has let go of itself.
      if (named ? !this.#has.has(name) || this.#has.get(name) !== undefined : this.#all) removed.push(name);
      if (named) this.#has.set(name, undefined);
      else this.#has.delete(name);
    }
    return { resources, removed };
  }
}

/** The same for the same secret, also on another stream and by another daemon. */
function versionOf({ value }: Packed): string {
  return createHash('sha256').update(value).digest('hex').slice(0, 32);
}

export function requireSecrets(type: string): void {
  if (type === '' || type === SECRET_TYPE) return;
  throw new WritError('bad_request', 'Secrets alone are given here.', { field: 'type_url' });
}

function requireShortNames(names: readonly string[]): void {
  if (names.every((name) => Buffer.byteLength(name) <= LONGEST_NAME)) return;
  throw new WritError('too_large', 'A name that is asked for is too long.', { field: 'resource_names' });
}

export function requireFewNames(count: number): void {
  if (count <= MOST_NAMES) return;
  throw new WritError('too_large', 'Too many names are asked for.', { field: 'resource_names' });
}
