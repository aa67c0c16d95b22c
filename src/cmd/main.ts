import { askPerson } from '../cli/ask.ts';
import { runProgram } from '../cli/program.ts';
import { VERSION } from './version.ts';

/** Commands that run until they are stopped. */
const SERVERS = ['start', 'agent run', 'feed relay', 'canary run'];
const LAST_WORDS_MS = 2000;

const streams = {
  stdout: process.stdout,
  stderr: process.stderr,
  stdin: process.stdin,
  environment: process.env,
  ask: askPerson,
};
// Whoever reads what is said may go (`writ start | head`), or the terminal may. That stops no server, and cuts no command off
// in the midst of a change.
process.stderr.on('error', () => undefined);
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE' && error.code !== 'EIO') throw error;
});
const [name, verb] = process.argv.slice(2);
const command = name === 'start' ? name : `${name} ${verb}`;
// A server starts sooner without the modules of all the other commands.
const commands =
  name === 'start' ? (await import('./start-alone.ts')).startAlone() : (await import('./commands.ts')).commandTable();
const code = await runProgram(commands, process.argv.slice(2), streams, VERSION);
// Idle connections and timers must not keep a finished command alive; what was written must get out first.
process.exitCode = code;
// But whoever stops a server does not wait for a reader who has fallen asleep.
if (SERVERS.includes(command)) setTimeout(() => process.exit(code), LAST_WORDS_MS);
process.stdout.write('', () => process.stderr.write('', () => process.exit(code)));
