import type { Log } from '../../base/log.ts';
import { rotateSvidKey } from '../../ca/bundle/svid-keys.ts';
import { textOf, type WithApi } from '../../cli/api.ts';
import { APPROVAL_FLAGS } from '../../cli/approval-flags.ts';
import { type Command, EXIT } from '../../cli/command.ts';
import { CONNECTION_FLAGS } from '../../cli/connection.ts';
import { administer, DATA_FLAG } from '../administration.ts';
import { asAdministrator, goesToServer, HERE_FLAG } from '../as-administrator.ts';
import { PASSPHRASE_FLAGS } from '../passphrase.ts';

/** Has another key sign JWT-SVIDs: on the server's machine, with the passphrase, or by approval from anywhere. */
export function jwtKeyCommand(log: () => Log, withApi: WithApi): Command {
  return {
    path: 'ca rotate-jwt-key',
    summary: 'Have another key follow the one that signs JWT-SVIDs',
    details:
      'It happens by itself every 30 days: the next is published a day before it signs. With --at-once, for a key that was stolen, it signs now and those before are deleted. On the server’s machine, with the passphrase; or from anywhere with an approval.',
    flags: [
      { name: 'at-once', summary: 'the present key was stolen' },
      ...[DATA_FLAG, ...PASSPHRASE_FLAGS, HERE_FLAG, ...APPROVAL_FLAGS, ...CONNECTION_FLAGS],
    ],
    changes: true,
    async run(input, terminal) {
      const atOnce = input.has('at-once');
      if (input.dryRun) {
        const what = atOnce ? 'sign JWT-SVIDs with a new key from now on' : 'publish the next key of JWT-SVIDs';
        terminal.result({ would: 'rotate', at_once: atOnce }, `Would ${what}.`);
        return EXIT.ok;
      }
      if (goesToServer(input)) {
        const body = { at_once: atOnce };
        const answer = await withApi(input, (api) => api.post('/v1/trust/jwt-keys/rotate', body));
        terminal.result(answer, said(textOf(answer, 'kid'), textOf(answer, 'signs_from')));
        return EXIT.ok;
      }
      const made = await administer(input, log(), ({ parts }) => {
        const { reader, keyring, random, clock } = parts;
        const what = { command: 'ca rotate-jwt-key', parameters: { at_once: atOnce } };
        return asAdministrator(input, what, parts, (caller, acting) =>
          rotateSvidKey(caller, { atOnce }, { reader, keyring, random, clock, ...acting }),
        );
      });
      const signsFrom = new Date(made.signsFrom).toISOString();
      terminal.result({ kid: made.kid, signs_from: signsFrom }, said(made.kid, signsFrom));
      return EXIT.ok;
    },
  };
}

function said(kid: string, signsFrom: string): string {
  return `${kid} signs JWT-SVIDs from ${signsFrom} on.`;
}
