import { isWritError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import { authoritiesWithRevoked, publishAuthorityList } from '../../ca/authority/list.ts';
import { FullList } from '../../ca/crl/full-list.ts';
import { type ListParts, shardList } from '../../ca/crl/publish-shard.ts';
import { listedAuthorities } from '../../ca/crl/served.ts';
import type { ThreadParts } from './thread-parts.ts';

/** How often this process looks whether something was revoked. It costs a comparison while the epoch stays. */
const FOLLOW_MS = 50;
/** How often it looks for lists that are due. */
const DUE_MS = 30_000;
/** After a failure. */
const AGAIN_MS = 2000;
/** The list of an authority grows with all that is revoked; making it takes at most this part of the time. */
const SHARE = 1 / 10;
const PAGE = 1000;

/** What signing and recording lists takes from a thread. */
export function listParts(parts: ThreadParts): ListParts {
  const { reader, commit, clock, statusUrl, authority, issuance } = parts;
  return {
    reader,
    commit,
    clock,
    statusUrl,
    async issuer(id) {
      await issuance.refresh();
      const found = authority.authorities().find((one) => one.id === id);
      if (found?.keyId === undefined || found.certificate.notAfter <= clock.now()) return undefined;
      return authority.opened(found);
    },
  };
}

/**
 * Publishes revocation lists: as soon as something is revoked, those that it belongs into, and all others in time before
 * they end. Every server does; whatever one has published is done for all. Gives a function that ends it.
 */
export function startListUpkeep(own: ThreadParts, log: Log): () => void {
  const parts = listParts(own);
  const { reader, clock } = parts;
  const full = new Map<string, { readonly list: FullList; notBefore: number }>();
  /** Authorities whose list is to be looked at. */
  const waiting = new Set<string>();
  let seenEpoch = Number.NaN;
  let seen: number | undefined;
  let dueAt = Number.NEGATIVE_INFINITY;
  let againAt = Number.NEGATIVE_INFINITY;

  /** What was revoked since the last look: shards first, so that a list of an authority says that its shards are done. */
  const followShards = async (): Promise<void> => {
    seen ??= await publishedUntil(reader, clock.now());
    for (;;) {
      const rows = await reader.all(
        `SELECT issuer, shard, sequence FROM revoked WHERE sequence > ? ORDER BY sequence LIMIT ${PAGE}`,
        [seen],
      );
      const shards = new Set(rows.map(({ shard }) => shard as string | null));
      for (const shard of shards) if (shard !== null) await shardList(shard, parts);
      for (const { issuer } of rows) waiting.add(issuer as string);
      seen = (rows.at(-1)?.['sequence'] as number | undefined) ?? seen;
      if (rows.length < PAGE) return;
    }
  };

  const publishDue = async (): Promise<void> => {
    const now = clock.now();
    const due = await reader.all('SELECT id FROM crl_list WHERE refresh_at <= ? ORDER BY refresh_at LIMIT 1000', [now]);
    const authorities = await listedAuthorities(reader, now);
    for (const id of authorities) waiting.add(id);
    for (const id of await authoritiesWithRevoked(reader, now)) waiting.add(id);
    for (const id of full.keys()) if (!authorities.includes(id)) full.delete(id);
    for (const { id } of due) if (!authorities.includes(id as string)) await shardList(id as string, parts);
  };

  /** A root's or an intermediate's list is short. */
  const isAbove = (id: string): boolean =>
    own.authority.authorities().some((one) => one.id === id && one.kind !== 'issuing');

  const publishFull = async (): Promise<void> => {
    if (waiting.size > 0) await own.issuance.refresh();
    for (const id of waiting) {
      if (isAbove(id)) {
        await publishAuthorityList(id, parts);
        waiting.delete(id);
        continue;
      }
      const one = full.get(id) ?? { list: new FullList(id, parts), notBefore: 0 };
      full.set(id, one);
      if (performance.now() < one.notBefore) continue;
      const begun = performance.now();
      waiting.delete(id);
      try {
        await one.list.publish();
      } catch (error) {
        waiting.add(id);
        throw error;
      }
      one.notBefore = performance.now() + (performance.now() - begun) / SHARE;
    }
  };

  const step = async (): Promise<void> => {
    const epoch = own.epoch.current();
    if (epoch !== seenEpoch) {
      await followShards();
      // An authority that has just taken over.
      for (const id of await listedAuthorities(reader, clock.now())) if (!full.has(id)) waiting.add(id);
    }
    seenEpoch = epoch;
    if (clock.now() >= dueAt) {
      await publishDue();
      dueAt = clock.now() + DUE_MS;
    }
    await publishFull();
  };

  let busy = false;
  const timer = setInterval(() => {
    const idle = own.epoch.current() === seenEpoch && clock.now() < dueAt && waiting.size === 0;
    if (busy || idle || clock.now() < againAt) return;
    busy = true;
    step()
      .catch((error: unknown) => {
        againAt = clock.now() + AGAIN_MS;
        const { message } = error as Error;
        log.error(
          'publishing lists failed',
          isWritError(error) ? { error: message, code: error.code } : { error: message },
        );
      })
      .finally(() => {
        busy = false;
      });
  }, FOLLOW_MS);
  return () => clearInterval(timer);
}

/** The last change up to which every shard was published, as the lists of the authorities tell; they follow the shards. */
async function publishedUntil(reader: ListParts['reader'], now: number): Promise<number> {
  const row = await reader.get(
    'SELECT MIN(COALESCE(l.sequence, 0)) AS until FROM authority a LEFT JOIN crl_list l ON l.id = a.id ' +
      "WHERE a.kind = 'issuing' AND a.not_after > ? AND EXISTS (SELECT 1 FROM revoked r WHERE r.issuer = a.id)",
    [now],
  );
  return (row?.['until'] as number | null) ?? 0;
}
