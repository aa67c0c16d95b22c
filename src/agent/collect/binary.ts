import { createHash } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { WritError } from '../../base/error.ts';
import type { ProgramFiles } from '../process/program-files.ts';

/** Digests that are kept; programs of one machine are few. */
const KEPT = 1024;
const PIECE = 1 << 20;
/** Octets of the largest program that is read. Whoever runs a larger one (a file may be mostly holes) has it without digest. */
const LARGEST = 2n << 30n;

/** The program of a process. */
export interface Program {
  readonly pid: number;
  /** User of the process. */
  readonly uid: number;
  /** What the kernel calls the file. */
  readonly named: string;
  /** What its file system said of it. */
  readonly stats: BigIntStats;
}

/** A file as it is now: another content has another text. The change time is the kernel's own, which nobody can set. */
function stateOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return `${dev}.${ino}.${size}.${mtimeNs}.${ctimeNs}`;
}

/**
 * SHA-256 of programs, each read once as long as its file stays what it is. Those of one user are read one after another, so
 * that nobody keeps the daemon from others with many large files.
 */
export class BinaryDigests {
  readonly #files: ProgramFiles;
  readonly #known = new Map<string, Promise<string>>();
  /** The last that is being read for each user. */
  readonly #reading = new Map<number, Promise<unknown>>();

  constructor(files: ProgramFiles) {
    this.#files = files;
  }

  /**
   * The digest of the file that a process runs and that is as in `stats`, in lower-case hex; undefined for one that is too
   * large. Rejects where the process does not run that file as it was, where it changes while it is read, and as
   * `ProgramFiles.ask`, each megabyte being a question.
   */
  async of(program: Program): Promise<string | undefined> {
    if (program.stats.size > LARGEST) return undefined;
    const state = stateOf(program.stats);
    const known = this.#known.get(state);
    if (known !== undefined) {
      this.#known.delete(state);
      this.#known.set(state, known);
      try {
        return await known;
      } catch (error) {
        if (error instanceof WritError) throw error;
        // It was read off another process, which may have ended or run something else by then. That says nothing of this one.
        return this.of(program);
      }
    }
    const made = this.#inTurn(program.uid, () => this.#read(program, state));
    this.#known.set(state, made);
    made.catch(() => this.#known.delete(state));
    if (this.#known.size > KEPT) this.#known.delete(this.#known.keys().next().value!);
    return made;
  }

  #inTurn(user: number, read: () => Promise<string>): Promise<string> {
    const made = (this.#reading.get(user) ?? Promise.resolve()).then(read, read);
    this.#reading.set(user, made);
    const over = (): void => {
      if (this.#reading.get(user) === made) this.#reading.delete(user);
    };
    made.then(over, over);
    return made;
  }

  async #read({ pid, named }: Program, state: string): Promise<string> {
    const file = await this.#open(pid, named);
    let asked: Promise<unknown> = Promise.resolve();
    const ask = <T>(question: () => Promise<T>): Promise<T> =>
      this.#files.ask(named, () => {
        const answer = question();
        asked = answer;
        return answer;
      });
    const requireSame = async (): Promise<void> => {
      if (stateOf(await ask(() => file.stat({ bigint: true }))) !== state) throw new Error('the file changed');
    };
    try {
      await requireSame();
      const hash = createHash('sha256');
      const piece = Buffer.allocUnsafe(PIECE);
      for (;;) {
        const { bytesRead } = await ask(() => file.read(piece, 0, PIECE, null));
        if (bytesRead === 0) break;
        hash.update(piece.subarray(0, bytesRead));
      }
      await requireSame();
      return hash.digest('hex');
    } finally {
      // A question that hangs holds the file open, and its thread: to close waits for it.
      const close = (): void => this.#files.close(named, file);
      asked.then(close, close);
    }
  }

  async #open(pid: number, named: string): Promise<FileHandle> {
    let opening: Promise<FileHandle> | undefined;
    try {
      return await this.#files.ask(named, () => {
        opening = open(`/proc/${pid}/exe`, 'r');
        return opening;
      });
    } catch (error) {
      // Opened too late, it is closed all the same.
      opening?.then(
        (file) => this.#files.close(named, file),
        () => undefined,
      );
      throw error;
    }
  }
}
