import { join, resolve } from 'node:path';
import { countUsedTokensOf } from '../../attest/token-store.ts';
import { WritError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import type { WithApi } from '../../cli/api.ts';
import { APPROVAL_FLAGS, goesByApproval } from '../../cli/approval-flags.ts';
import { type Command, EXIT } from '../../cli/command.ts';
import { CONNECTION_FLAGS } from '../../cli/connection.ts';
import { needed } from '../../cli/input.ts';
import { type Operator, readOperator } from '../../registry/operator.ts';
import type { RevocationParts } from '../../revocation/parts.ts';
import { removeOperator } from '../../revocation/remove-operator.ts';
import { voidOperatorBefore } from '../../revocation/replace-operator.ts';
import { parseName } from '../../spiffe-id/name.ts';
import { administer, DATA_FLAG } from '../administration.ts';
import { ADMINISTRATOR, makeOperatorCredential, serverUrl, writeCredential } from '../operator-credential.ts';
import { PASSPHRASE_FLAGS } from '../passphrase.ts';
import { listenOf } from '../running.ts';
import type { ThreadParts } from '../server/thread-parts.ts';

const NAME = { name: 'name', summary: 'name of the operator', required: true } as const;

/** Operators come and go on the server's machine, with the passphrase; a running server notices at once. */
export function operatorCommands(log: () => Log, withApi: WithApi): readonly Command[] {
  return [
    {
      path: 'operator add',
      summary: 'Add an operator and write their credential to a file',
      details: 'On the server’s machine, with the passphrase; also while the server runs.',
      parameters: [NAME],
      flags: [
        DATA_FLAG,
        { name: 'out', value: 'file', summary: 'new file for the credential (default NAME-operator.json)' },
        {
          name: 'person',
          value: 'person',
          summary: 'whose credential it is, when they have one already; otherwise somebody new by the same name',
        },
        { name: 'email', value: 'address', summary: 'of somebody new; the ledger has a salted hash of it alone' },
        {
          name: 'replace',
          summary: 'the operator lost their credential: certificates and join tokens of before are void',
        },
        {
          name: 'server',
          value: 'https://host:port',
          summary: 'address that the credential names; otherwise that of the server here',
        },
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
        const used = await administer(input, log(), async ({ directory, config, parts }) => {
          const existing = input.has('replace');
          const before = await readOperator(parts.reader, name, parts.clock.now());
          if (before !== undefined && !existing) throw taken(before);
          const server = input.flag('server') ?? serverUrl({ ...config, listen: listenOf(config, directory) });
          const whose = { person: input.flag('person'), email: input.flag('email') };
          const { credential, serial } = await makeOperatorCredential({ name, server, existing, ...whose }, parts);
          writeCredential(out, credential, false);
          // Whoever finds what was lost is to find it worthless.
          if (!existing) return 0;
          await voidOperatorBefore(ADMINISTRATOR, { operator: name, keep: serial }, revocationOf(parts));
          return countUsedTokensOf(parts.reader, name);
        });
        terminal.result({ operator: name, credential: out }, `Operator ${name}: ${out}`);
        if (used > 0) terminal.say(mayHaveLetIn(name, used));
        terminal.say('Hand the file over safely; it is a private key. Use it with --operator or WRIT_OPERATOR.');
        return EXIT.ok;
      },
    },
    {
      path: 'operator remove',
      summary: 'Remove an operator, revoke their certificates and withdraw the join tokens they made',
      details:
        'On the server’s machine, with the passphrase, also while the server runs; or from anywhere with an approval.',
      parameters: [NAME],
      flags: [
        DATA_FLAG,
        { name: 'force', summary: 'also when no operator is left afterwards' },
        ...PASSPHRASE_FLAGS,
        ...APPROVAL_FLAGS,
        ...CONNECTION_FLAGS,
      ],
      changes: true,
      async run(input, terminal) {
        const name = parseName(needed(input, 'name'), 'name');
        if (input.dryRun) {
          terminal.result({ would: 'remove', operator: name }, `Would remove operator ${name}.`);
          return EXIT.ok;
        }
        if (goesByApproval(input)) {
          const path = `/v1/operators/${encodeURIComponent(name)}/remove`;
          const answer = await withApi(input, (api) => api.post(path, { cause: 'owner_withdrawn' }));
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
          await removeOperator(ADMINISTRATOR, { operator: name, cause: 'owner_withdrawn' }, revocationOf(parts));
        });
        terminal.result(
          { operator: name, status: 'removed' },
          `Operator ${name} is removed; their certificates are revoked, and the join tokens they made are withdrawn.`,
        );
        return EXIT.ok;
      },
    },
  ];
}

function revocationOf({ reader, commit, clock, certificates, policy }: ThreadParts): RevocationParts {
  return { reader, commit, clock, certificates, authorize: policy.authorize, refresh: () => policy.fresh() };
}

/** Instances are not stopped with the credential that let them in: most of them are the operator's own. */
function mayHaveLetIn(name: string, tokens: number): string {
  return (
    `${tokens} join tokens of ${name} have let instances in, which go on. Look for those that ${name} did not make ` +
    '("writ token list", "writ ledger list --subject token:ID") and stop what they let in ("writ instance stop").'
  );
}

function taken({ status }: Operator): WritError {
  const removed = status === 'removed';
  return new WritError('conflict', removed ? 'An operator by this name was removed' : 'The operator exists already', {
    field: 'name',
    remedy: removed
      ? 'Choose another name: names are never used twice.'
      : 'Choose another name, or say --replace if the credential is lost.',
  });
}
