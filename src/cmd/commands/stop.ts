import type { Log } from '../../base/log.ts';
import type { Item } from '../../cli/api.ts';
import { type Command, EXIT, type Input } from '../../cli/command.ts';
import { falls } from '../../cli/commands/stop.ts';
import { confirmed } from '../../cli/confirm.ts';
import { evidenceOf } from '../../cli/evidence.ts';
import { needed } from '../../cli/input.ts';
import { quarantine } from '../../revocation/quarantine.ts';
import { stopForEver } from '../../revocation/stop.ts';
import type { StopRequest, StopTarget } from '../../revocation/stop-target.ts';
import { wouldFall } from '../../revocation/would-fall.ts';
import { administer, DATA_FLAG } from '../administration.ts';
import { asAdministrator, HERE_FLAG } from '../as-administrator.ts';
import { ADMINISTRATOR } from '../operator-credential.ts';
import { PASSPHRASE_FLAGS } from '../passphrase.ts';
import { cordParts } from '../server/cord-operations.ts';

/**
 * `writ stop KIND` as it is over the network, and with `--here` on the server's machine: also where no operator is let in,
 * and where the policy set in force cannot be evaluated.
 */
export function stopHere(command: Command, log: () => Log): Command {
  const [, kind = ''] = command.path.split(' ');
  const [parameter] = command.parameters ?? [];
  return {
    ...command,
    flags: [...(command.flags ?? []), HERE_FLAG, DATA_FLAG, ...PASSPHRASE_FLAGS],
    async run(input, terminal) {
      if (!input.has('here')) return command.run(input, terminal);
      const name = needed(input, parameter!.name);
      const target = { kind: kind as StopTarget['kind'], name };
      const why = { cause: input.flag('cause')!, ...evidenceOf(input) };
      const [pull, what] = input.has('quarantine')
        ? ([quarantine, 'quarantined'] as const)
        : ([stopForEver, 'stopped for ever'] as const);
      if (input.dryRun) {
        const planned = await wouldFallHere(input, log(), { target, ...why });
        terminal.result(planned, falls(planned, pull === quarantine));
        return EXIT.ok;
      }
      const asked = { what: `This stops ${kind} ${name} for ever.`, name };
      if (pull === stopForEver && !(await confirmed(input, terminal, asked))) return EXIT.failed;
      const act = { command: command.path, parameters: { name, what, ...why } };
      const { id, state } = await administer(input, log(), ({ parts }) =>
        asAdministrator(input, act, parts, (caller, acting) =>
          pull(caller, { target, ...why }, { ...cordParts(parts), ...acting }),
        ),
      );
      terminal.result({ id, state, target }, `${kind} ${name} is ${what} (${id}).`);
      return EXIT.ok;
    },
  };
}

/** The answer of the server's own dry run, as far as it is shown. */
function wouldFallHere(input: Input, log: Log, request: StopRequest): Promise<Item> {
  return administer(input, log, async ({ parts }) => {
    const mode = input.has('quarantine') ? 'quarantine' : 'revocation';
    const { needsSecond, ...named } = await wouldFall(ADMINISTRATOR, { ...request, mode }, cordParts(parts));
    const { target, cause } = request;
    return { target, state: 'planned', cause, falls: { ...named, needs_second_person: needsSecond } };
  });
}

/** Whether a command is one that stops something of a kind. */
export function stopsSomething({ path, flags }: Command): boolean {
  return path.startsWith('stop ') && flags?.some(({ name }) => name === 'quarantine') === true;
}
