import { askPerson } from '../cli/ask.ts';
import { runProgram } from '../cli/program.ts';
import { commandTable } from './commands.ts';
import { VERSION } from './version.ts';

const streams = {
  stdout: process.stdout,
  stderr: process.stderr,
  stdin: process.stdin,
  environment: process.env,
  ask: askPerson,
};
const code = await runProgram(commandTable(), process.argv.slice(2), streams, VERSION);
// Idle connections and timers must not keep a finished command alive; what was written must get out first.
process.exitCode = code;
process.stdout.write('', () => process.stderr.write('', () => process.exit(code)));
