/** Where a demo plays: numbered steps, what was typed, what came back, and an exit code. */
import { runProgram } from '../../src/cli/program.ts';
import { commandTable } from '../../src/cmd/commands.ts';

/** Runs a line of the command line and gives what it printed. Throws with what it said when it does not end with 0. */
interface Writ {
  (...words: readonly string[]): Promise<string>;
  /** The same for a line that is to end with another exit code. */
  failing(code: number, ...words: readonly string[]): Promise<string>;
}

export interface Stage {
  step(title: string): void;
  show(text: string): void;
  readonly writ: Writ;
  /** The items of a listing. Says nothing. */
  items<T>(...words: readonly string[]): Promise<T[]>;
  /** Plays, says how it went, and gives the exit code. */
  run(play: () => Promise<void>): Promise<number>;
}

/** `environment` is added to that of this process for every command. */
export function openStage(environment: Readonly<Record<string, string>>): Stage {
  const style = (number: number, text: string): string =>
    process.stdout.isTTY === true ? `\u001b[${number}m${text}\u001b[0m` : text;
  const say = (text: string): void => void process.stdout.write(`${text}\n`);
  const show = (text: string): void => {
    for (const line of text.trimEnd().split('\n')) say(`   ${line}`);
  };
  const began = performance.now();
  let [steps, title] = [0, ''];

  const command = async (words: readonly string[], wanted: number): Promise<string> => {
    const said = { stdout: '', stderr: '' };
    const into = (name: keyof typeof said) => ({ write: (text: string) => (said[name] += text) });
    const streams = { stdout: into('stdout'), stderr: into('stderr'), stdin: {} };
    const code = await runProgram(commandTable(), words, {
      ...streams,
      environment: { ...process.env, ...environment },
    });
    if (code === wanted) return said.stdout;
    throw new Error(
      `writ ${words.slice(0, 2).join(' ')} ended with ${code}, not ${wanted}: ${said.stderr}${said.stdout}`,
    );
  };
  const typed = (words: readonly string[]): void => {
    const shown = words.map((word) => (/[ "]/.test(word) ? JSON.stringify(word) : word)).join(' ');
    say(`   ${style(2, `$ writ ${shown.length > 160 ? `${shown.slice(0, 157)}…` : shown}`)}`);
  };
  const writ = Object.assign(
    (...words: readonly string[]) => {
      typed(words);
      return command(words, 0);
    },
    {
      failing(code: number, ...words: readonly string[]) {
        typed(words);
        return command(words, code);
      },
    },
  );

  return {
    step(next) {
      steps += 1;
      title = next;
      say(`\n${style(1, `${steps}. ${title}`)}`);
    },
    show,
    writ,
    async items<T>(...words: readonly string[]) {
      return (JSON.parse(await command([...words, '--json'], 0)) as { items: T[] }).items;
    },
    async run(play) {
      try {
        await play();
      } catch (error) {
        say(`\n${style(1, 'FAILED')} in step ${steps}, "${title}":`);
        show(error instanceof Error ? error.message : String(error));
        return 1;
      }
      say(
        `\n${style(1, 'Done')} in ${((performance.now() - began) / 1000).toFixed(1)} s; every step did what it says.`,
      );
      return 0;
    },
  };
}
