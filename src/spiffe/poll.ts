import type { Log } from '../base/log.ts';
import { type CommitBatch, newBatch } from '../db/batch.ts';
import type { Reader } from '../db/database.ts';
import type { TrustDomain } from '../spiffe-id/trust-domain.ts';
import type { Certificate } from '../x509/certificate.ts';
import { dueFederations, type Federation, readFederation, updateFederation } from './federation.ts';
import { TELLING } from './federation-status.ts';
import type { Fetched } from './fetch-bundle.ts';
import { authoritiesIn, judgeBundle, type OwnTrust } from './judge-bundle.ts';
import { record, recordBundle } from './manage.ts';

export interface PollParts {
  readonly reader: Reader;
  readonly commit: CommitBatch;
  readonly clock: { now(): number };
  readonly own: () => Promise<OwnTrust>;
  readonly fetch: (federation: Federation) => Promise<Fetched>;
  /** Of 0 up to 1: so that not all are asked at one time. */
  readonly jitter: () => number;
  readonly log: Log;
}

/** Who does what is done by itself. */
const POLLER = 'system:federation';

/** How long whoever has begun to fetch keeps others from it. Longer than a fetch takes. */
const CLAIM_MS = 60_000;
/** SPIFFE Federation §4.1: where the publisher says nothing. */
const DEFAULT_HINT = 300;
/** What others wish for within these; seconds. */
const LEAST_HINT = 60;
const MOST_HINT = 86_400;
const AT_ONCE = 4;

/**
 * Fetches what is due, and gives how many attempts it made. Any number of processes may do this at once: of those that
 * see the same one due, that fetches it whose claim is committed. Where the other side is away, what was fetched last
 * stays.
 */
export async function pollFederations(parts: PollParts): Promise<number> {
  const due = await dueFederations(parts.reader, parts.clock.now(), AT_ONCE);
  const done = await Promise.all(due.map((one) => pollOne(one, parts)));
  return done.filter((tried) => tried).length;
}

async function pollOne(due: Federation, parts: PollParts): Promise<boolean> {
  const claim = newBatch();
  updateFederation(claim, due, { ...due, pollAt: parts.clock.now() + CLAIM_MS });
  if (!(await parts.commit(claim)).committed) return false;
  const fetched = await parts.fetch(due);
  // Somebody may have put a bundle in by hand, or removed it all, while it was fetched.
  const before = await readFederation(parts.reader, due.trustDomain);
  if (before === undefined || before.version !== due.version + 1) return true;
  const judged = fetched.fetched ? judgeBundle(fetched.octets, before.bundle, await parts.own()) : undefined;
  const fault = fetched.fetched ? (judged?.taken === false ? judged.fault : undefined) : fetched.fault;
  const batch = newBatch();
  const now = parts.clock.now();
  const { fault: former, ...rest } = before;
  const tried = { ...rest, triedAt: now };
  if (judged?.taken === true) {
    const { bundle, changed } = judged;
    const taken = changed ? { bundle, bundleAt: now, source: 'fetched' as const } : {};
    const after = { ...tried, ...taken, goodAt: now, pollAt: nextPoll(now, bundle.refreshHint, parts) };
    updateFederation(batch, before, after);
    if (changed) {
      recordBundle(batch, POLLER, before.trustDomain, { bundle, source: 'fetched' });
      batch.bumpsEpoch = true;
    }
  } else {
    const again = Math.min(before.bundle?.refreshHint ?? DEFAULT_HINT, DEFAULT_HINT);
    updateFederation(batch, before, { ...tried, fault: fault!, pollAt: nextPoll(now, again, parts) });
    if (fault !== former && TELLING.has(fault!)) {
      record(batch, 'federation.refused', before.trustDomain, { caller: POLLER, fault: fault! });
    }
    if (fault !== former)
      parts.log.warn('bundle of another trust domain not taken', { domain: due.trustDomain, fault: fault! });
  }
  await parts.commit(batch);
  return true;
}

/** Up to a tenth earlier than the hint says. Milliseconds. */
function nextPoll(now: number, hint: number | undefined, { jitter }: PollParts): number {
  const seconds = Math.min(Math.max(hint ?? DEFAULT_HINT, LEAST_HINT), MOST_HINT);
  return now + Math.floor(seconds * 1000 * (1 - 0.1 * jitter()));
}

/** The authorities of a trust domain as its latest bundle has them; undefined for one that is not known. */
export async function authoritiesOf(
  reader: Reader,
  trustDomain: TrustDomain,
): Promise<readonly Certificate[] | undefined> {
  const found = await readFederation(reader, trustDomain);
  return found?.bundle === undefined ? undefined : authoritiesIn(found.bundle);
}
