import { readlinkSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { WritError } from '../../base/error.ts';
import { createGate } from '../gate.ts';

/** How many are looked at, at once: each takes one of the four threads that Node has for files and names, until it is answered. */
const AT_ONCE = 3;
const PATIENCE_MS = 5000;

/**
 * Looks at the files that processes run. They may lie where another machine or program serves them, and who does may be
 * silent for ever: then nobody waits but the callers that run that program. What asks the same file system from the main
 * thread, does so right behind an answer from here; one that answers here and not there stops the daemon.
 */
export class ProgramFiles {
  readonly #gate = createGate(AT_ONCE);
  /** Of each that was not answered in time: its program. */
  readonly #silent = new Set<{ readonly program: string }>();
  readonly #look: typeof programState;

  constructor(look: typeof programState = programState) {
    this.#look = look;
  }

  /**
   * Which file a process runs now, as a text that another file does not have; empty where that may not be seen. Undefined for
   * one that runs nothing any more: it ends, which takes a moment where it has much to give back. Rejects with `unavailable`
   * where nobody answers.
   */
  async state(pid: number): Promise<string | undefined> {
    const program = programOf(pid);
    if (program === undefined) return undefined;
    this.#requireAnswers(program);
    const turn = { begun: false, missed: false };
    const asked = this.#gate(async () => {
      if (turn.missed) return undefined;
      turn.begun = true;
      return this.#look(pid);
    });
    const late = Promise.withResolvers<typeof LATE>();
    const timer = setTimeout(() => late.resolve(LATE), PATIENCE_MS);
    timer.unref();
    const found = await Promise.race([asked, late.promise]);
    clearTimeout(timer);
    if (found !== LATE) return found;
    if (turn.begun) {
      const silent = { program };
      this.#silent.add(silent);
      void asked.then(() => this.#silent.delete(silent));
    }
    turn.missed = true;
    throw unanswered();
  }

  /** Whether a process runs anything still. Asks no file system. */
  runs(pid: number): boolean {
    return programOf(pid) !== undefined;
  }

  #requireAnswers(program: string): void {
    const silent = [...this.#silent];
    if (silent.length >= AT_ONCE || silent.some((one) => one.program === program)) throw unanswered();
  }
}

const LATE: unique symbol = Symbol('late');

function unanswered(): WritError {
  return new WritError('unavailable', 'The file system that the program lies on does not answer.', {
    remedy: 'Have it answer again, or unmount it.',
  });
}

/** Never rejects. */
async function programState(pid: number): Promise<string | undefined> {
  try {
    const { dev, ino } = await stat(`/proc/${pid}/exe`, { bigint: true });
    return `${dev}.${ino}`;
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
