import { WritError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import { type Command, EXIT } from '../../cli/command.ts';
import { newBatch } from '../../db/batch.ts';
import { committed } from '../../db/committed.ts';
import { changePassphrase } from '../../keys/keyring.ts';
import { makePassphrase } from '../../keys/passphrase.ts';
import { promotePassphrase, stagePassphrase } from '../../keys/passphrase-file.ts';
import { readPassphrase } from '../../keys/passphrase-source.ts';
import { administer, DATA_FLAG } from '../administration.ts';
import { dataDirectory } from '../data-directory.ts';
import { PASSPHRASE_FLAGS, passphraseSource } from '../passphrase.ts';

export function passphraseCommand(log: () => Log): Command {
  return {
    path: 'passphrase change',
    summary: 'Seal every key under another passphrase',
    details:
      'Makes a new passphrase in place of the file, or takes the one of --new-passphrase-file. Old copies of the database still open with the old passphrase: after a leak, rotate the authorities, too.',
    flags: [
      DATA_FLAG,
      { name: 'new-passphrase-file', value: 'file', summary: 'owner-only file with the new passphrase' },
      ...PASSPHRASE_FLAGS,
    ],
    changes: true,
    async run(input, terminal) {
      const source = passphraseSource(input, dataDirectory(input.flag('data')!));
      const given = input.flag('new-passphrase-file');
      if (given === undefined && source.kind !== 'file') {
        throw new WritError('bad_request', 'Nothing says what the new passphrase is', {
          field: '--new-passphrase-file',
          remedy: 'The present one does not come from a file, so name a file with the new one.',
        });
      }
      if (input.dryRun) {
        terminal.result({ would: 'change' }, 'Would seal every key under a new passphrase.');
        return EXIT.ok;
      }
      await administer(input, log(), async ({ database, parts }) => {
        const { keyring, clock, random, commit } = parts;
        const passphrase =
          given === undefined ? makePassphrase(random) : await readPassphrase({ kind: 'file', path: given }, {});
        const staged = given === undefined && source.kind === 'file' ? source.path : undefined;
        if (staged !== undefined) await stagePassphrase(staged, passphrase);
        const batch = newBatch();
        await changePassphrase(batch, database, keyring, { passphrase, now: clock.now(), random });
        committed(await commit(batch));
        if (staged !== undefined) await promotePassphrase(staged);
      });
      terminal.result({ changed: true }, 'Every key is sealed under the new passphrase.');
      terminal.say(
        'A running server that reads its passphrase from the same place takes it over by itself. Start others again with the new one: until then they can rotate nothing.',
      );
      return EXIT.ok;
    },
  };
}
