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

/** A terminal over the given streams. `close` stops the spinner; a closed terminal stays silent. */
export function openTerminal(streams: Streams, options: TerminalOptions): Terminal & { close(): void } {
  const { stdout, stderr, environment } = streams;
  const tty = stderr.isTTY === true;
  const wanted = options.colour ?? (environment['NO_COLOR'] === undefined || environment['NO_COLOR'] === '');
  const forced = environment['FORCE_COLOR'] !== undefined && environment['FORCE_COLOR'] !== '0';
  const colour = wanted && (forced || (stdout.isTTY === true && environment['TERM'] !== 'dumb'));
  let timer: NodeJS.Timeout | undefined;
  let shown = '';
  let frame = 0;
  let lastPlain = 0;

  const clear = (): void => {
    clearInterval(timer);
    timer = undefined;
    if (shown !== '' && tty && frame > 0) stderr.write('\r\u001b[K');
    shown = '';
    frame = 0;
  };

  return {
    interactive: tty && streams.stdin.isTTY === true,
    colour,
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
    close: clear,
  };
}
