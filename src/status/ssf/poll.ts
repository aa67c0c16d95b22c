import { setTimeout as pause } from 'node:timers/promises';
import type { Authorize, Caller } from '../../base/access.ts';
import type { Clock } from '../../base/clock.ts';
import { demand } from '../../base/demand.ts';
import { WritError } from '../../base/error.ts';
import { type CommitBatch, type Epoch, newBatch } from '../../db/batch.ts';
import { committed } from '../../db/committed.ts';
import type { Reader } from '../../db/database.ts';
import { ownStream } from './manage.ts';
import { pushDead, pushDelivered, type SetClaims, waitingSets } from './queue.ts';
import type { Stream } from './stream.ts';

/** What a receiver asks (RFC 8936 §2.4), with our bounds. */
export interface PollRequest {
  /** 0 only acknowledges. Default and most: `MOST_SETS`. */
  readonly maxEvents?: number;
  /** Absent: the answer waits until there is something, at most `LONGEST_WAIT_MS`. */
  readonly returnImmediately?: boolean;
  /** `jti` of SETs that the receiver has. */
  readonly ack?: readonly string[];
  /** `jti` of SETs that it does not take, and the code of why. */
  readonly setErrs?: Readonly<Record<string, string>>;
}

export interface Polled {
  /** Tokens by their `jti`. They come again until they are acknowledged. */
  readonly sets: Readonly<Record<string, string>>;
  readonly moreAvailable: boolean;
}

export interface PollParts {
  readonly reader: Reader;
  readonly authorize: Authorize;
  readonly commit: CommitBatch;
  readonly clock: Clock;
  readonly epoch: Epoch;
  /** Aborted when the server stops: nobody is kept waiting then. */
  readonly ending: AbortSignal;
  readonly sign: (claims: SetClaims) => Promise<string>;
}

const MOST_SETS = 100;
const LONGEST_WAIT_MS = 20_000;
const LOOK_MS = 100;
/** Answers that wait in one thread; beyond that they come at once, empty. */
const MOST_WAITING = 200;

/** Gives the function that answers polls. It counts who waits. */
export function poller(parts: PollParts): (caller: Caller, id: string, request: PollRequest) => Promise<Polled> {
  const { reader, authorize, commit, clock, epoch, ending, sign } = parts;
  let waiting = 0;

  const take = async (stream: Stream, most: number): Promise<Polled> => {
    const found = await waitingSets(reader, stream, most + 1);
    const sets: Record<string, string> = {};
    for (const { jti, claims } of found.slice(0, most)) sets[jti] = await sign(claims);
    return { sets, moreAvailable: found.length > most };
  };

  /**
   * Waits for something to give. A stop of anybody ends the wait, since it may have been the receiver's own certificate:
   * the next poll is authenticated anew, and finds the SETs.
   */
  const wait = async (stream: Stream, most: number, began: number): Promise<Polled> => {
    const until = clock.now() + LONGEST_WAIT_MS;
    waiting += 1;
    try {
      while (clock.now() < until) {
        await pause(LOOK_MS);
        if (epoch.current() !== began || ending.aborted) return { sets: {}, moreAvailable: true };
        if ((await waitingSets(reader, stream, 1)).length > 0) return await take(stream, most);
      }
      return { sets: {}, moreAvailable: false };
    } finally {
      waiting -= 1;
    }
  };

  return async (caller, id, { maxEvents = MOST_SETS, returnImmediately = false, ack = [], setErrs = {} }) => {
    const began = epoch.current();
    demand(authorize, { caller, action: 'signal.read', resource: { type: 'Installation', id: 'writ' } });
    const stream = await ownStream(caller, id, parts);
    if (stream.method !== 'poll') {
      throw new WritError('bad_request', 'This stream is pushed and cannot be polled.', {
        remedy: 'Change its delivery to urn:ietf:rfc:8936.',
      });
    }
    const batch = newBatch();
    pushDelivered(batch, id, [...new Set(ack)], clock.now());
    for (const [jti, err] of Object.entries(setErrs)) pushDead(batch, id, jti, `The receiver said ${err}.`);
    if (batch.writes.length > 0) committed(await commit(batch));
    const most = Math.min(maxEvents, MOST_SETS);
    if (most === 0) return { sets: {}, moreAvailable: (await waitingSets(reader, stream, 1)).length > 0 };
    const now = await take(stream, most);
    const atOnce = returnImmediately || waiting >= MOST_WAITING || stream.status !== 'enabled';
    if (Object.keys(now.sets).length > 0 || atOnce) return now;
    // Who acknowledges wants to know that it was heard before it waits again (RFC 8936 §2.4).
    return ack.length > 0 ? now : wait(stream, most, began);
  };
}
