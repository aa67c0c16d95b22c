import type { MessagePort } from 'node:worker_threads';
import type { Clock } from '../base/clock.ts';
import { type ErrorCode, WritError } from '../base/error.ts';
import type { Random } from '../base/random.ts';
import type { Batch, Commit, CommitBatch } from '../db/batch.ts';
import { type EncodedBatch, encodeBatch } from './encode.ts';
import { type Packed, Packer, Unpacker } from './port-codec.ts';

/**
 * From a request thread to the writer and back. A thread packs all batches of one turn of its event loop into one
 * message, since waking the writer costs more than a batch does. Batches are numbered in the order in which they were
 * sent, and the writer answers by number, in whatever order they end.
 */
interface Answers {
  /** Number and first leaf of each committed batch, in turn. */
  readonly committed: Float64Array;
  readonly others: readonly ({ readonly number: number } & (Refused | Failed))[];
}

interface Refused {
  readonly refusal: ErrorCode;
  readonly reason: string;
}

/** A `WritError` without its cause, which stays where it happened. */
interface Failed {
  readonly code: ErrorCode;
  readonly message: string;
  readonly field: string | undefined;
  readonly remedy: string | undefined;
  readonly reasons: readonly string[];
}

/** What the writer needs to offer: the `submit` of the sequencer. */
export interface Submit {
  submit(batch: EncodedBatch): Promise<Commit>;
}

export interface CommitClient {
  readonly commit: CommitBatch;
  /** Refuses what comes from now on, waits for what is under way, and closes the port. */
  close(): Promise<void>;
}

/** Batches of one thread that may be under way. The next one is refused with `unavailable`. */
const UNDER_WAY = 2048;

interface Waiting {
  readonly resolve: (commit: Commit) => void;
  readonly reject: (error: WritError) => void;
}

/**
 * The half of the request thread. Entries are made and hashed here, so that the one writer only appends. When the writer
 * dies, what is under way rejects with `storage_failed` and field `commit`, because nobody can say what became of it.
 */
export function commitClient(
  port: MessagePort,
  parts: { readonly clock: Clock; readonly random: Random },
): CommitClient {
  const packer = new Packer();
  const waiting = new Map<number, Waiting>();
  let outbox: EncodedBatch[] = [];
  let sent = 0;
  let state: 'open' | 'closing' | 'dead' = 'open';
  let whenIdle: (() => void) | undefined;

  function flush(): void {
    const packed = packer.pack(outbox);
    outbox = [];
    if (state !== 'dead') port.postMessage(packed, [packed.bytes.buffer]);
  }

  function settle(number: number, how: (entry: Waiting) => void): void {
    const entry = waiting.get(number);
    if (entry === undefined) return;
    waiting.delete(number);
    how(entry);
    if (waiting.size === 0) whenIdle?.();
  }

  port.on('message', ({ committed, others }: Answers) => {
    for (let i = 0; i < committed.length; i += 2) {
      settle(committed[i]!, ({ resolve }) => resolve({ committed: true, firstLeaf: committed[i + 1]! }));
    }
    for (const { number, ...answer } of others) {
      settle(number, ({ resolve, reject }) => {
        if ('code' in answer) reject(revive(answer));
        else resolve({ committed: false, refusal: answer.refusal, reason: answer.reason });
      });
    }
  });
  port.on('close', () => {
    state = 'dead';
    for (const number of [...waiting.keys()]) settle(number, ({ reject }) => reject(writerGone()));
  });

  return {
    commit(batch: Batch): Promise<Commit> {
      if (state === 'dead') return Promise.reject(new WritError('unavailable', 'the writer of the ledger has ended'));
      if (state === 'closing') return Promise.reject(new WritError('unavailable', 'the server is stopping'));
      if (waiting.size >= UNDER_WAY) {
        return Promise.reject(
          new WritError('unavailable', 'too many commits are under way', { remedy: 'Repeat the request in a moment.' }),
        );
      }
      let encoded: EncodedBatch;
      try {
        encoded = encodeBatch(batch, parts.clock, parts.random);
      } catch (error) {
        return Promise.reject(error);
      }
      if (outbox.length === 0) setImmediate(flush);
      outbox.push(encoded);
      const number = sent++;
      return new Promise((resolve, reject) => waiting.set(number, { resolve, reject }));
    },
    async close() {
      if (state === 'open') state = 'closing';
      if (waiting.size > 0) await new Promise<void>((resolve) => (whenIdle = resolve));
      port.close();
    },
  };
}

/**
 * The half of the writer's thread: commits what comes through the port until it closes. Answers that become known
 * together, which are those of one group, go back in one message. When the request thread dies, what it sent is
 * committed all the same.
 */
export function serveCommits(port: MessagePort, sequencer: Submit): void {
  const unpacker = new Unpacker();
  let received = 0;
  let open = true;
  let committed: number[] = [];
  let others: Answers['others'][number][] = [];

  function flush(): void {
    const answers: Answers = { committed: Float64Array.from(committed), others };
    committed = [];
    others = [];
    if (open) port.postMessage(answers);
  }

  function answer(put: () => void): void {
    if (committed.length === 0 && others.length === 0) queueMicrotask(flush);
    put();
  }

  port.on('message', (packed: Packed) => {
    for (const batch of unpacker.unpack(packed)) {
      const number = received++;
      sequencer.submit(batch).then(
        (commit) =>
          answer(() => {
            if (commit.committed) committed.push(number, commit.firstLeaf);
            else others.push({ number, refusal: commit.refusal, reason: commit.reason });
          }),
        (error: unknown) => answer(() => others.push({ number, ...plain(error) })),
      );
    }
  });
  port.on('close', () => {
    open = false;
  });
}

function plain(error: unknown): Failed {
  const known = error instanceof WritError ? error : new WritError('internal', 'a commit failed inside Writ');
  const { code, message, field, remedy, reasons } = known;
  return { code, message, field, remedy, reasons };
}

function revive({ code, message, field, remedy, reasons }: Failed): WritError {
  return new WritError(code, message, {
    reasons,
    ...(field === undefined ? {} : { field }),
    ...(remedy === undefined ? {} : { remedy }),
  });
}

function writerGone(): WritError {
  return new WritError('storage_failed', 'the writer of the ledger ended while this commit was under way', {
    field: 'commit',
    remedy: 'Repeat the request with the same idempotency key once the server is up.',
  });
}
