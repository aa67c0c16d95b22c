import { askPerson } from '../cli/ask.ts';
import { runProgram } from '../cli/program.ts';
import { VERSION } from './version.ts';

const streams = {
  stdout: process.stdout,
  stderr: process.stderr,
  stdin: process.stdin,
  environment: process.env,
  ask: askPerson,
};
const [name] = process.argv.slice(2);
// A server starts sooner without the modules of all the other commands.
const commands =
  name === 'start' ? (await import('./start-alone.ts')).startAlone() : (await import('./commands.ts')).commandTable();
const code = await runProgram(commands, process.argv.slice(2), streams, VERSION);
// Idle connections and timers must not keep a finished command alive; what was written must get out first.
process.exitCode = code;
process.stdout.write('', () => process.stderr.write('', () => process.exit(code)));
