import { readHierarchy } from '../../ca/hierarchy.ts';
import { type Command, EXIT } from '../../cli/command.ts';
import { DATA_FLAG, neverFinished } from '../administration.ts';
import { readConfig } from '../config/config.ts';
import { dataDirectory } from '../data-directory.ts';
import { openEngine } from '../engine.ts';
import { greetingJson, greetingText } from '../greeting.ts';
import { askReadiness, type Readiness } from '../readiness.ts';
import { listenOf } from '../running.ts';

const SAID: Readonly<Record<Readiness['state'], string>> = {
  ready: 'Writ is running.',
  not_ready: 'Writ is running, but cannot issue.',
  stopped: 'Writ is not running. Start it with "writ start".',
  strange:
    'Something else than this Writ answers at its address: "ss -ltnp" says what. Or choose another with "writ start --listen".',
};

/** `writ status`: what `writ start` printed, again, and whether it still holds. */
export function statusCommand(): Command {
  return {
    path: 'status',
    summary: 'Say whether the server on this machine runs, where, and under which root',
    details: 'What "writ start" printed, again. Needs no passphrase. Exit code 1 when the server is not ready.',
    flags: [DATA_FLAG],
    async run(input, terminal) {
      const directory = dataDirectory(input.flag('data')!);
      const config = readConfig(directory.config);
      const database = await openEngine(config, directory, { readOnly: true });
      try {
        const hierarchy = await readHierarchy(database);
        if (hierarchy === undefined) throw neverFinished();
        const listen = listenOf(config, directory);
        const readiness = await askReadiness(listen.api, hierarchy);
        const { state } = readiness;
        const detail = 'detail' in readiness ? { detail: readiness.detail } : {};
        const greeting = { directory, config, hierarchy, listen };
        const first = 'detail' in readiness ? `${SAID[state]} (${readiness.detail})` : SAID[state];
        terminal.result(
          { state, ...detail, ...greetingJson(greeting) },
          `${first}\n\n${greetingText(greeting, { next: state === 'ready' || state === 'not_ready' })}`,
        );
        return state === 'ready' ? EXIT.ok : EXIT.failed;
      } finally {
        await database.close();
      }
    },
  };
}
