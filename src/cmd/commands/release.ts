import type { Log } from '../../base/log.ts';
import { type Command, EXIT } from '../../cli/command.ts';
import { needed } from '../../cli/input.ts';
import { releaseStop } from '../../revocation/release.ts';
import { administer, DATA_FLAG } from '../administration.ts';
import { asAdministrator, HERE_FLAG } from '../as-administrator.ts';
import { PASSPHRASE_FLAGS } from '../passphrase.ts';
import { cordParts } from '../server/cord-operations.ts';

/** `writ release` as it is over the network, and with `--here` on the server's machine: one person alone can let go, too. */
export function releaseHere(command: Command, log: () => Log): Command {
  return {
    ...command,
    flags: [...(command.flags ?? []), HERE_FLAG, DATA_FLAG, ...PASSPHRASE_FLAGS],
    async run(input, terminal) {
      if (!input.has('here') || input.dryRun) return command.run(input, terminal);
      const id = needed(input, 'id');
      const { state, kind, target } = await administer(input, log(), ({ parts }) =>
        asAdministrator(input, { command: 'release', parameters: { id } }, parts, (caller, acting) =>
          releaseStop(caller, id, { ...cordParts(parts), ...acting }),
        ),
      );
      terminal.result({ id, state, target: { kind, name: target } }, `The quarantine of ${kind} ${target} is lifted.`);
      return EXIT.ok;
    },
  };
}
