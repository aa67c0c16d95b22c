import { isWritError, WritError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import type { Api, Item, WithApi } from '../../cli/api.ts';
import { APPROVAL_FLAGS } from '../../cli/approval-flags.ts';
import { type Command, EXIT } from '../../cli/command.ts';
import { CONNECTION_FLAGS } from '../../cli/connection.ts';
import { WAIT_FLAG, watchEffect } from '../../cli/effect.ts';
import { EVIDENCE_FLAG, evidenceOf } from '../../cli/evidence.ts';
import { needed } from '../../cli/input.ts';
import { removeOperator } from '../../revocation/remove-operator.ts';
import { parseName } from '../../spiffe-id/name.ts';
import { administer, DATA_FLAG } from '../administration.ts';
import { asAdministrator, goesToServer, HERE_FLAG } from '../as-administrator.ts';
import { PASSPHRASE_FLAGS } from '../passphrase.ts';
import { operatorAddCommand, revocationOf } from './operator-add.ts';

/** Operators come and go on the server's machine with the passphrase, or by approval; a running server notices at once. */
export function operatorCommands(log: () => Log, withApi: WithApi): readonly Command[] {
  return [
    operatorAddCommand(log, withApi),
    {
      path: 'operator remove',
      summary: 'Remove an operator, revoke their certificates and withdraw the join tokens they made',
      details:
        'On the server’s machine, with the passphrase, also while the server runs; or from anywhere with an approval.',
      parameters: [{ name: 'name', summary: 'name of the operator', required: true }],
      flags: [
        DATA_FLAG,
        { name: 'force', summary: 'also when no operator is left afterwards' },
        ...PASSPHRASE_FLAGS,
        EVIDENCE_FLAG,
        WAIT_FLAG,
        HERE_FLAG,
        ...APPROVAL_FLAGS,
        ...CONNECTION_FLAGS,
      ],
      changes: true,
      async run(input, terminal) {
        const name = parseName(needed(input, 'name'), 'name');
        const why = { cause: 'owner_withdrawn', ...evidenceOf(input) };
        if (input.dryRun) {
          terminal.result({ would: 'remove', operator: name }, `Would remove operator ${name}.`);
          return EXIT.ok;
        }
        if (goesToServer(input)) {
          const path = `/v1/operators/${encodeURIComponent(name)}/remove`;
          const answer = await withApi(input, async (api) => watched(await api.post(path, why), api));
          terminal.result(answer, `Operator ${name} is removed; their certificates and join tokens are void.`);
          return EXIT.ok;
        }
        await administer(input, log(), async ({ database, parts }) => {
          const others = await database.get("SELECT 1 AS found FROM operator WHERE status = 'active' AND name <> ?", [
            name,
          ]);
          if (others === undefined && !input.has('force')) {
            throw new WritError('conflict', 'No operator would be left', {
              field: 'name',
              remedy: 'Add another operator first, or say --force.',
            });
          }
          const what = { command: 'operator remove', parameters: { name, ...evidenceOf(input) } };
          await asAdministrator(input, what, parts, (caller, acting) =>
            removeOperator(caller, { operator: name, ...why }, { ...revocationOf(parts), ...acting }),
          );
        });
        const removed = { operator: name, status: 'removed' };
        terminal.result(
          input.has('wait') ? await watchedFromHere(removed) : removed,
          `Operator ${name} is removed; their certificates are revoked, and the join tokens they made are withdrawn.`,
        );
        return EXIT.ok;

        function watched(done: Item, api: Api): Promise<Item> {
          return watchEffect(done, { input, terminal, api, subject: `operator:${name}` });
        }

        /** It is done without the server, which may not be there to be asked, or not by whoever runs this. */
        async function watchedFromHere(done: Item): Promise<Item> {
          try {
            return await withApi(input, (api) => watched(done, api));
          } catch (error) {
            if (!isWritError(error)) throw error;
            terminal.say(`It is done, and not watched: ${error.message}`);
            return done;
          }
        }
      },
    },
  ];
}
