import { join, resolve } from 'node:path';
import { WritError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import { type Command, EXIT } from '../../cli/command.ts';
import { needed } from '../../cli/input.ts';
import { removeOperator } from '../../revocation/remove-operator.ts';
import { parseName } from '../../spiffe-id/name.ts';
import { administer, DATA_FLAG } from '../administration.ts';
import { ADMINISTRATOR, makeOperatorCredential, writeCredential } from '../operator-credential.ts';
import { PASSPHRASE_FLAGS } from '../passphrase.ts';
import { serverUrl } from './start.ts';

const NAME = { name: 'name', summary: 'name of the operator', required: true } as const;

/** Operators come and go on the server's machine, with the passphrase; a running server notices at once. */
export function operatorCommands(log: () => Log): readonly Command[] {
  return [
    {
      path: 'operator add',
      summary: 'Add an operator and write their credential to a file',
      details: 'On the server’s machine, with the passphrase; also while the server runs.',
      parameters: [NAME],
      flags: [
        DATA_FLAG,
        { name: 'out', value: 'file', summary: 'new file for the credential (default NAME-operator.json)' },
        { name: 'replace', summary: 'the operator exists and lost their credential' },
        ...PASSPHRASE_FLAGS,
      ],
      changes: true,
      async run(input, terminal) {
        const name = parseName(needed(input, 'name'), 'name');
        const out = resolve(input.flag('out') ?? join('.', `${name}-operator.json`));
        if (input.dryRun) {
          terminal.result({ would: 'add', operator: name, out }, `Would add operator ${name} and write ${out}.`);
          return EXIT.ok;
        }
        await administer(input, log(), async ({ config, parts }) => {
          const request = { name, server: serverUrl(config), existing: input.has('replace') };
          writeCredential(out, await makeOperatorCredential(request, parts), false);
        });
        terminal.result({ operator: name, credential: out }, `Operator ${name}: ${out}`);
        terminal.say('Hand the file over safely; it is a private key. Use it with --operator or WRIT_OPERATOR.');
        return EXIT.ok;
      },
    },
    {
      path: 'operator remove',
      summary: 'Remove an operator and revoke their certificates',
      details: 'On the server’s machine, with the passphrase; also while the server runs.',
      parameters: [NAME],
      flags: [DATA_FLAG, { name: 'force', summary: 'also when no operator is left afterwards' }, ...PASSPHRASE_FLAGS],
      changes: true,
      async run(input, terminal) {
        const name = parseName(needed(input, 'name'), 'name');
        if (input.dryRun) {
          terminal.result({ would: 'remove', operator: name }, `Would remove operator ${name}.`);
          return EXIT.ok;
        }
        await administer(input, log(), async ({ database, parts }) => {
          const { reader, commit, clock, certificates, policy } = parts;
          const others = await database.get("SELECT 1 AS found FROM operator WHERE status = 'active' AND name <> ?", [
            name,
          ]);
          if (others === undefined && !input.has('force')) {
            throw new WritError('conflict', 'No operator would be left', {
              field: 'name',
              remedy: 'Add another operator first, or say --force.',
            });
          }
          const revocation = {
            reader,
            commit,
            clock,
            certificates,
            authorize: policy.authorize,
            refresh: () => policy.fresh(),
          };
          await removeOperator(ADMINISTRATOR, { operator: name, cause: 'owner_withdrawn' }, revocation);
        });
        terminal.result(
          { operator: name, status: 'removed' },
          `Operator ${name} is removed; their certificates are revoked.`,
        );
        return EXIT.ok;
      },
    },
  ];
}
