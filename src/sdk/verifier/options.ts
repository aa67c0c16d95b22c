import { WritError } from '../../base/error.ts';
import type { SpiffeId } from '../../spiffe-id/spiffe-id.ts';
import type { FeedEntry } from '../../wire/feed.ts';
import { SERVER_RULE } from '../feed/signatures.ts';
import type { AnyIdentity } from '../identity/any-identity.ts';
import type { PeerRule } from '../peer/peer.ts';

export interface VerifierOptions {
  /** Shows who reads the feed, and whose roots peers are checked by. */
  readonly identity: AnyIdentity;
  /** `https://host:port` of the API. Default: where the identity enrolled. */
  readonly server?: string | undefined;
  /**
   * Relays to read the feed from in place of the API, `https://host:port` each, tried in turn; for programs that do not
   * reach it. Of what they say only that counts which the authority has signed.
   */
  readonly feed?: string | readonly string[] | undefined;
  /** Who may be a relay, like `service/gateway/*`. */
  readonly relays?: PeerRule | undefined;
  /**
   * `strict` (decisions, gateways) refuses everybody when the feed is older than `strictMs`; `available` (plain mutual TLS)
   * goes on for `staleMs` with what it knows, and raises an alarm. Ephemeral peers, of whom nothing but the feed tells, are
   * refused after `strictMs` in both.
   */
  readonly mode: 'strict' | 'available';
  /** Default 5 000. In both modes the alarm is raised after it. */
  readonly strictMs?: number | undefined;
  /** Default 900 000: 15 minutes. */
  readonly staleMs?: number | undefined;
  /** Name of this enforcement point in the server's records: letters, digits and . _ : - . Default: a random one. */
  readonly point?: string | undefined;
}

export interface VerifierEvents {
  /** Everything is known that the server knows, for the first time or again. */
  well: [];
  /** The feed is older than `strictMs`. Milliseconds, and what went wrong last. */
  alarm: [{ readonly age: number; readonly cause: Error | undefined }];
  /** Something was stopped, held or released. */
  entry: [FeedEntry];
}

export type Refusal = 'no_identity' | 'not_allowed' | 'expired' | 'stopped' | 'held' | 'stale';

export type Decision =
  | { readonly allowed: true; readonly id: SpiffeId }
  | { readonly allowed: false; readonly reason: Refusal };

/** Where the feed is read. */
export interface FeedSource {
  readonly servers: readonly string[];
  readonly allow: PeerRule;
  /** From others than the authority's own servers, who can be stopped like anybody. */
  readonly relayed: boolean;
}

/** Throws `bad_config` when it is not said where the feed is, or who may be a relay. */
export function feedSourceOf({ identity, server, feed, relays }: VerifierOptions): FeedSource {
  if (feed !== undefined) {
    const servers = typeof feed === 'string' ? [feed] : feed;
    if (relays !== undefined && servers.length > 0) return { servers, allow: relays, relayed: true };
    throw new WritError('bad_config', 'It is not said who may be a relay of the feed.', {
      field: 'relays',
      remedy: 'Name the relays by their SPIFFE IDs, like service/gateway/*, and at least one address.',
    });
  }
  const from = server ?? identity.server;
  if (from !== undefined) return { servers: [from], allow: SERVER_RULE, relayed: false };
  throw new WritError('bad_config', 'The identity does not say where its server is.', {
    field: 'server',
    remedy: 'Give the address of the API, like https://ca.internal:8443.',
  });
}
