import { access, constants, copyFile, type FileHandle, mkdir, open, readFile, rename, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { threadId } from 'node:worker_threads';
import { WritError } from '../base/error.ts';
import type { Log } from '../base/log.ts';
import type { Reader } from '../db/database.ts';
import { type Checkpoint, parseCheckpoint } from '../merkle/checkpoint.ts';
import { parseNote } from '../merkle/note.ts';
import { type AnchoredBatch, type AnchorRecord, formatAnchorRecord, parseAnchorRecord } from './anchor-record.ts';
import { linesBackward } from './lines-backward.ts';
import type { LogSigner } from './log-signer.ts';
import { readEntries } from './store.ts';

/** Name of the file with the latest checkpoint, a signed note. */
const ANCHOR_CHECKPOINT = 'checkpoint';
/** Name of the file with the revocations, a signed record a line. */
const ANCHOR_REVOCATIONS = 'revocations';

/** Batches that go into one record, so that a mass revocation does not make one endless line. */
const BATCHES_A_RECORD = 256;
/** How far back a start looks for records of processes that ended between their commit and their line. */
const RECORDS_LOOKED_BACK = 1000;

/**
 * The directory outside the database that still knows the latest checkpoint and every revocation when the database has
 * been lost or an older one was put back.
 *
 * `revocations` only ever grows: a line is durable (`fdatasync`) before anybody is told of its revocations. Each line is
 * signed, so a torn or altered one is told from a good one. `checkpoint` is replaced whole (write, fsync, rename, fsync
 * of the directory), about once a second. Several processes may use one anchor: lines are appended with one write each.
 */
export class Anchor {
  readonly directory: string;
  readonly #log: Log;
  /** Undefined until the file was read. */
  #position: Position | undefined;
  /** The file that was last written. Others may have appended since, but it is this one, and no shorter. */
  #file: { readonly ino: number; readonly size: number } | undefined;
  #following: Promise<void> = Promise.resolve();

  /**
   * Makes the directory when it is missing, owner-only. Rejects with `storage_failed` when that cannot be done or the
   * directory is read-only, with `unsafe_permissions` when others can write to it.
   */
  static async open(directory: string, log: Log): Promise<Anchor> {
    const path = resolve(directory);
    try {
      const made = await mkdir(path, { recursive: true, mode: 0o700 });
      if (made !== undefined) await syncDirectory(dirname(made));
      // Better no start than one that stops at the first revocation.
      await access(path, constants.W_OK);
    } catch (cause) {
      throw failed(cause);
    }
    await requireOwn(path);
    return new Anchor(path, log);
  }

  /** An anchor to look at: nothing is made, and nothing may be written. */
  static reading(directory: string, log: Log): Anchor {
    return new Anchor(resolve(directory), log);
  }

  private constructor(directory: string, log: Log) {
    this.directory = directory;
    this.#log = log;
  }

  /** The checkpoint that was saved last, not verified yet; undefined before the first. */
  async checkpoint(): Promise<{ readonly note: string; readonly checkpoint: Checkpoint } | undefined> {
    let note: string;
    try {
      note = await readFile(join(this.directory, ANCHOR_CHECKPOINT), 'utf8');
    } catch (cause) {
      if (isAbsent(cause)) return undefined;
      throw failed(cause);
    }
    return { note, checkpoint: parseCheckpoint(parseNote(note).text) };
  }

  /** Replaces the saved checkpoint, unless that is of the same log and already further. */
  async saveCheckpoint(note: string): Promise<void> {
    const next = parseCheckpoint(parseNote(note).text);
    const saved = (await this.checkpoint())?.checkpoint;
    if (saved !== undefined && saved.origin === next.origin && saved.size >= next.size) return;
    const path = join(this.directory, ANCHOR_CHECKPOINT);
    // Processes, and threads of one, do not write the same file.
    const fresh = `${path}.${process.pid}.${threadId}`;
    try {
      const file = await open(fresh, 'w', 0o600);
      try {
        await giveAway(file, this.directory);
        await file.writeFile(note);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(fresh, path);
      await syncDirectory(this.directory);
    } catch (cause) {
      throw failed(cause);
    }
  }

  /**
   * Appends what the database says must be anchored and is not yet, also what other processes committed. Resolves when
   * it is durable. Calls take turns.
   */
  follow(reader: Reader, signer: LogSigner): Promise<void> {
    const following = this.#following.then(() => this.#follow(reader, signer));
    this.#following = following.catch(() => undefined);
    return following;
  }

  async #follow(reader: Reader, signer: LogSigner): Promise<void> {
    let { from, written } = this.#position ?? (await this.#findPosition(signer));
    for (let more = true; more; ) {
      const rows = await reader.all(
        'SELECT first_leaf, leaves FROM ledger_anchored WHERE first_leaf >= ? ORDER BY first_leaf LIMIT ?',
        [from, BATCHES_A_RECORD],
      );
      const batches: AnchoredBatch[] = [];
      for (const row of rows) {
        const [first, leaves] = [row['first_leaf'] as number, row['leaves'] as number];
        if (!written.has(first)) batches.push({ first, entries: await readEntries(reader, first, first + leaves) });
        from = first + 1;
      }
      if (batches.length > 0) await this.#append(await formatAnchorRecord(batches, signer));
      more = rows.length === BATCHES_A_RECORD;
      if (!more) written = new Set();
      this.#position = { from, written };
    }
  }

  /**
   * Verified records from the last to the first. Lines that are none are logged and passed over; `bad` is told of them
   * but for those that a kill or a full disk cut off.
   */
  async *records(keyOf: Parameters<typeof parseAnchorRecord>[1], bad?: () => void): AsyncGenerator<AnchorRecord> {
    let file: FileHandle;
    try {
      file = await open(join(this.directory, ANCHOR_REVOCATIONS), 'r');
    } catch (cause) {
      if (isAbsent(cause)) return;
      throw failed(cause);
    }
    try {
      for await (const line of linesBackward(file)) {
        if (line.length === 0) continue;
        const record = parseAnchorRecord(line, keyOf);
        if (record !== undefined) {
          yield record;
          continue;
        }
        this.#log.warn('anchor line not understood', { octets: line.length });
        // What was in a torn one was told to nobody as safe, and was written again behind it.
        if (!isTorn(line)) bad?.();
      }
    } finally {
      await file.close();
    }
  }

  /**
   * Where to go on. The last record alone would not say: a process may have ended before it wrote the line of an earlier
   * leaf than another process did. So the scan goes back some records, and from the earliest of them on every row is
   * looked at.
   */
  async #findPosition(signer: LogSigner): Promise<Position> {
    const written = new Set<number>();
    let from = 0;
    let looked = 0;
    for await (const record of this.records((origin) => (origin === signer.origin ? signer.keys[0] : undefined))) {
      for (const batch of record.batches) written.add(batch.first);
      if (++looked < RECORDS_LOOKED_BACK) continue;
      from = record.batches[0]!.first;
      break;
    }
    return { from, written };
  }

  async #append(line: string): Promise<void> {
    // Opened anew for each line, so that a file that was moved away or replaced meanwhile is noticed.
    try {
      const file = await open(join(this.directory, ANCHOR_REVOCATIONS), 'a', 0o600);
      try {
        const { ino, size } = await file.stat();
        if (size === 0) await giveAway(file, this.directory);
        const before = this.#file;
        if (before !== undefined && (ino !== before.ino || size < before.size))
          throw new Error('it was replaced or cut');
        // The line feed in front ends whatever a process that was killed left behind. One write, so that lines of two
        // processes do not mix.
        const bytes = Buffer.from(`\n${line}\n`);
        const { bytesWritten } = await file.write(bytes);
        if (bytesWritten !== bytes.length) throw new Error('the line was written in part');
        await file.datasync();
        if (size === 0) await syncDirectory(this.directory);
        this.#file = { ino, size: size + bytes.length };
      } finally {
        await file.close();
      }
    } catch (cause) {
      // What it holds must be read anew before anything is said to stand in it.
      this.#position = undefined;
      this.#file = undefined;
      throw failed(cause);
    }
  }
}

/** Whether a line is the beginning of a record and no more. */
function isTorn(line: Uint8Array): boolean {
  const text = Buffer.from(line).toString();
  if (!text.startsWith('{')) return false;
  try {
    JSON.parse(text);
    return false;
  } catch {
    return true;
  }
}

/** How far the file follows the database. */
interface Position {
  /** Rows of `ledger_anchored` before this leaf stand in the file. */
  readonly from: number;
  /** So do the rows of these leaves. */
  readonly written: ReadonlySet<number>;
}

/**
 * Gives a file that root made to the owner of the directory. Administrators run commands as root beside a server that
 * runs as somebody else; the server could not go on with a file of theirs.
 */
async function giveAway(file: FileHandle, directory: string): Promise<void> {
  if (process.geteuid?.() !== 0) return;
  const { uid, gid } = await stat(directory);
  if (uid !== 0) await file.chown(uid, gid);
}

/** Whoever can write here can cut what is known of revocations. Windows keeps no such modes. */
async function requireOwn(path: string): Promise<void> {
  if (process.platform === 'win32' || ((await stat(path)).mode & 0o022) === 0) return;
  throw new WritError('unsafe_permissions', 'the anchor directory can be written by others than its owner', {
    field: '--anchor',
    remedy: `Run: chmod 700 '${path}'`,
  });
}

/** Copies an anchor that others may be writing to into a new directory, to be looked at there. */
export async function copyAnchor(from: string, to: string): Promise<void> {
  await mkdir(to, { mode: 0o700 });
  for (const name of [ANCHOR_REVOCATIONS, ANCHOR_CHECKPOINT]) {
    try {
      await copyFile(join(from, name), join(to, name));
    } catch (cause) {
      if (!isAbsent(cause)) throw failed(cause);
    }
  }
  await cutUnfinished(join(to, ANCHOR_REVOCATIONS));
}

/** Takes away the beginning of a line that was being written while the file was copied. */
async function cutUnfinished(path: string): Promise<void> {
  let file: FileHandle;
  try {
    file = await open(path, 'r+');
  } catch (cause) {
    if (isAbsent(cause)) return;
    throw failed(cause);
  }
  try {
    const { size } = await file.stat();
    const piece = Buffer.alloc(65_536);
    for (let end = size; end > 0; ) {
      const start = Math.max(0, end - piece.length);
      const { bytesRead } = await file.read(piece, 0, end - start, start);
      const at = piece.subarray(0, bytesRead).lastIndexOf(0x0a);
      if (at >= 0 || start === 0) return await file.truncate(start + at + 1);
      end = start;
    }
  } finally {
    await file.close();
  }
}

async function syncDirectory(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

function failed(cause: unknown): WritError {
  return new WritError('storage_failed', 'the anchor directory cannot be used', {
    field: '--anchor',
    remedy: 'Check that the directory exists, can be written by the user that runs Writ, and that its disk has space.',
    cause,
  });
}
