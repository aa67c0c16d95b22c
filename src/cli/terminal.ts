import type { Terminal } from './command.ts';

export interface Writer {
  write(text: string): unknown;
  readonly isTTY?: boolean;
}

/** What a program was started with. Handed in, so that tests see every byte that a user would. */
export interface Streams {
  readonly stdout: Writer;
  readonly stderr: Writer;
  readonly stdin: { readonly isTTY?: boolean };
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** How a person is asked; undefined when they refuse to answer. Absent: nobody is there. */
  readonly ask?: (question: string) => Promise<string | undefined>;
}

export interface TerminalOptions {
  readonly json: boolean;
  readonly quiet: boolean;
  /** `undefined` leaves it to the terminal and `NO_COLOR`. */
  readonly colour: boolean | undefined;
}

const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const SPIN_MS = 80;
/** Nothing spins before this: what is quick should look quick. */
const SPIN_AFTER_MS = 300;
const PLAIN_EVERY_MS = 2000;

/** Whether what goes to a stream is coloured: on a terminal, unless a flag or the environment says otherwise. */
export function usesColour(stream: Writer, { environment }: Streams, wanted: boolean | undefined): boolean {
  const set = (name: string): boolean => environment[name] !== undefined && environment[name] !== '';
  if (!(wanted ?? !set('NO_COLOR'))) return false;
  if (set('FORCE_COLOR')) return environment['FORCE_COLOR'] !== '0';
  return stream.isTTY === true && environment['TERM'] !== 'dumb';
}

/** A terminal over the given streams. `close` stops the spinner; a closed terminal stays silent. */
export function openTerminal(streams: Streams, options: TerminalOptions): Terminal & { close(): void } {
  const { stdout, stderr, ask } = streams;
  const tty = stderr.isTTY === true;
  let timer: NodeJS.Timeout | undefined;
  let shown = '';
  let frame = 0;
  let lastPlain = Number.NEGATIVE_INFINITY;

  const clear = (): void => {
    clearInterval(timer);
    timer = undefined;
    if (frame > 0) stderr.write('\r\u001b[K');
    frame = 0;
  };

  return {
    interactive: tty && streams.stdin.isTTY === true && ask !== undefined,
    colour: !options.json && usesColour(stdout, streams, options.colour),
    result(json, text) {
      clear();
      if (options.json) stdout.write(`${JSON.stringify(json, undefined, 2)}\n`);
      else if (text !== '') stdout.write(text.endsWith('\n') ? text : `${text}\n`);
    },
    line(json, text) {
      clear();
      stdout.write(options.json ? `${JSON.stringify(json)}\n` : `${text}\n`);
    },
    say(text) {
      clear();
      if (!options.quiet) stderr.write(`${text}\n`);
    },
    progress(text) {
      if (options.quiet) return;
      if (!tty) {
        const now = performance.now();
        if (now - lastPlain < PLAIN_EVERY_MS) return;
        lastPlain = now;
        stderr.write(`${text}\n`);
        return;
      }
      shown = text;
      if (timer !== undefined) return;
      const begun = performance.now();
      timer = setInterval(() => {
        if (performance.now() - begun < SPIN_AFTER_MS) return;
        stderr.write(`\r\u001b[K${FRAMES[frame++ % FRAMES.length]} ${shown}`);
      }, SPIN_MS);
      timer.unref();
    },
    async ask(question) {
      clear();
      return ask?.(question);
    },
    close: clear,
  };
}
