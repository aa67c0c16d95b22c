import { runProgram } from '../cli/program.ts';
import { commandTable } from './commands.ts';

const code = await runProgram(commandTable(), process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  stdin: process.stdin,
  environment: process.env,
});
// Idle connections and timers must not keep a finished command alive; what was written must get out first.
process.exitCode = code;
process.stdout.write('', () => process.stderr.write('', () => process.exit(code)));
