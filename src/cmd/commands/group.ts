import type { Log } from '../../base/log.ts';
import { textOf, type WithApi } from '../../cli/api.ts';
import { APPROVAL_FLAGS } from '../../cli/approval-flags.ts';
import { type Command, EXIT } from '../../cli/command.ts';
import { CONNECTION_FLAGS } from '../../cli/connection.ts';
import { needed } from '../../cli/input.ts';
import { changeGroup } from '../../registry/group.ts';
import { administer, DATA_FLAG } from '../administration.ts';
import { asAdministrator, goesToServer, HERE_FLAG, RECOVER_FLAG } from '../as-administrator.ts';
import { PASSPHRASE_FLAGS } from '../passphrase.ts';

/** Who may agree to what others ask for: on the server's machine, with the passphrase, or by approval from anywhere. */
export function groupCommands(log: () => Log, withApi: WithApi): readonly Command[] {
  const command = (change: 'add' | 'remove', summary: string, done: string): Command => ({
    path: `group ${change}`,
    summary,
    details: 'On the server’s machine, with the passphrase; or from anywhere with an approval.',
    parameters: [
      { name: 'group', summary: 'name of the group, e.g. ca-officers', required: true },
      { name: 'person', summary: 'the person; see "writ operator list"', required: true },
    ],
    flags: [
      DATA_FLAG,
      ...PASSPHRASE_FLAGS,
      HERE_FLAG,
      ...(change === 'add' ? [RECOVER_FLAG] : []),
      ...APPROVAL_FLAGS,
      ...CONNECTION_FLAGS,
    ],
    changes: true,
    async run(input, terminal) {
      const [group, person] = [needed(input, 'group'), needed(input, 'person')];
      if (input.dryRun) {
        terminal.result({ would: change, group, person }, `Would ${change} ${person}: ${group}.`);
        return EXIT.ok;
      }
      const path = `/v1/groups/${encodeURIComponent(group)}/members/${encodeURIComponent(person)}`;
      if (goesToServer(input)) {
        const answer = await withApi(input, (api) => (change === 'add' ? api.put(path, {}) : api.remove(path)));
        terminal.result(answer, `${person} ${done} ${textOf(answer, 'name')}.`);
        return EXIT.ok;
      }
      const after = await administer(input, log(), ({ parts }) => {
        const { reader, clock } = parts;
        const what = { command: `group ${change}`, parameters: { group, person } };
        return asAdministrator(input, what, parts, (caller, acting) =>
          changeGroup(caller, { group, person, change }, { reader, clock, ...acting }),
        );
      });
      const members = after.members.map((member) => member.person);
      terminal.result({ name: after.name, members }, `${person} ${done} ${group}.`);
      return EXIT.ok;
    },
  });
  return [
    command('add', 'Take a person into a group', 'is of'),
    command('remove', 'Take a person out of a group', 'is no more of'),
  ];
}
