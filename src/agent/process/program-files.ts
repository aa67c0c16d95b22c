import { type BigIntStats, readlinkSync } from 'node:fs';
import { type FileHandle, stat } from 'node:fs/promises';
import { WritError } from '../../base/error.ts';
import { createGate } from '../gate.ts';

/** What is asked at once: each takes one of the four threads that Node has for files and names, until it is answered. */
const AT_ONCE = 3;
const PATIENCE_MS = 5000;

/**
 * Asks the file systems that programs lie on. They may be served by another machine or process, and who does may be silent
 * for ever, at any question: then whoever runs a program of that name is refused, and others go on until three questions
 * hang. Nothing else in the daemon opens, reads, closes or looks up a file that others choose.
 */
export class ProgramFiles {
  readonly #gate = createGate(AT_ONCE);
  /** Of each question that is not answered in time: about which program it is. */
  readonly #silent = new Set<{ readonly program: string }>();
  readonly #look: typeof programState;

  constructor(look: typeof programState = programState) {
    this.#look = look;
  }

  /**
   * Which file a process runs now, as `identityOf` says it; empty where that may not be seen. Undefined for one that runs
   * nothing any more: it ends, which takes a moment where it has much to give back. Rejects as `ask`.
   */
  async state(pid: number): Promise<string | undefined> {
    const program = programOf(pid);
    return program === undefined ? undefined : this.ask(program, () => this.#look(pid));
  }

  /** Whether a process runs anything still. Asks no file system. */
  runs(pid: number): boolean {
    return programOf(pid) !== undefined;
  }

  /**
   * The answer to one question about the file that the kernel calls `program`. Rejects as the question does, and with
   * `unavailable` where nobody answers within five seconds: that answer, when it comes, is nobody's.
   */
  async ask<T>(program: string, question: () => Promise<T>): Promise<T> {
    const silent = [...this.#silent];
    if (silent.length >= AT_ONCE || silent.some((one) => one.program === program)) throw unanswered();
    let missed = false;
    const asked = this.#gate(async () => {
      if (missed) throw unanswered();
      return this.#watch(program, question());
    });
    asked.catch(() => undefined);
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      missed = true;
      late.reject(unanswered());
    }, PATIENCE_MS);
    timer.unref();
    try {
      return await Promise.race([asked, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Closes what was opened by `ask`, which a file system may be silent at, too. Nobody waits for it. */
  close(program: string, file: FileHandle): void {
    this.#gate(() => this.#watch(program, file.close())).catch(() => undefined);
  }

  async #watch<T>(program: string, asked: Promise<T>): Promise<T> {
    const silent = { program };
    const timer = setTimeout(() => this.#silent.add(silent), PATIENCE_MS);
    timer.unref();
    try {
      return await asked;
    } finally {
      clearTimeout(timer);
      this.#silent.delete(silent);
    }
  }
}

/** A file, as a text that another one does not have: a number that it gets when this one is gone is born at another moment. */
export function identityOf({ dev, ino, birthtimeNs }: BigIntStats): string {
  return `${dev}.${ino}.${birthtimeNs}`;
}

function unanswered(): WritError {
  return new WritError('unavailable', 'The file system that the program lies on does not answer.', {
    remedy: 'Have it answer again, or unmount it.',
  });
}

/** Never rejects. */
async function programState(pid: number): Promise<string | undefined> {
  try {
    return identityOf(await stat(`/proc/${pid}/exe`, { bigint: true }));
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? undefined : '';
  }
}

/** What the kernel calls the file, empty where that may not be seen; undefined for a process that ends. It asks nobody. */
function programOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? undefined : '';
  }
}
