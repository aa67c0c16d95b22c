import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { WritError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import { type Command, EXIT } from '../../cli/command.ts';
import { needed } from '../../cli/input.ts';
import { newBatch } from '../../db/batch.ts';
import { committed } from '../../db/committed.ts';
import { copySqlite } from '../../db/sqlite-copy.ts';
import { administer, DATA_FLAG } from '../administration.ts';
import { readConfig } from '../config/config.ts';
import { dataDirectory, isInitialised, prepareDirectory } from '../data-directory.ts';
import { ADMINISTRATOR } from '../operator-credential.ts';
import { PASSPHRASE_FLAGS } from '../passphrase.ts';

/** A backup is a directory with these; the passphrase and the anchor are kept elsewhere on purpose. */
const DATABASE = 'writ.db';
const CONFIG = 'config.json';

export function backupCommands(log: () => Log): readonly Command[] {
  return [
    {
      path: 'backup',
      summary: 'Copy the installation into a new directory, also while the server runs',
      details:
        'The copy holds database and configuration: everything but the passphrase, without which it opens no key, and the anchor, which tells an old copy from the newest. With PostgreSQL use pg_dump.',
      parameters: [{ name: 'directory', summary: 'new directory for the copy', required: true }],
      flags: [DATA_FLAG, ...PASSPHRASE_FLAGS],
      changes: true,
      examples: [
        { line: 'writ backup /backup/writ-2026-11-22', does: 'makes a copy that "writ ledger verify" can check' },
      ],
      async run(input, terminal) {
        const target = resolve(needed(input, 'directory'));
        const directory = dataDirectory(input.flag('data')!);
        if (readConfig(directory.config).database.engine !== 'sqlite') {
          throw new WritError('bad_config', 'The database is not an embedded one', {
            field: '--data',
            remedy: 'Use pg_dump or the backups of your PostgreSQL; the passphrase and the anchor are kept apart.',
          });
        }
        requireNew(target);
        if (input.dryRun) {
          terminal.result(
            { would: 'backup', from: directory.path, to: target },
            `Would copy ${directory.path} to ${target}.`,
          );
          return EXIT.ok;
        }
        mkdirSync(target, { recursive: true, mode: 0o700 });
        chmodSync(target, 0o700);
        terminal.progress('copying the database');
        await administer(input, log(), async ({ parts }) => {
          const batch = newBatch();
          batch.events.push({ type: 'backup.made', subjects: [], body: { caller: ADMINISTRATOR.id } });
          committed(await parts.commit(batch));
        });
        copySqlite(directory.database, join(target, DATABASE));
        copyFileSync(directory.config, join(target, CONFIG));
        terminal.result({ backup: target }, `Backup  ${target}`);
        terminal.say('Keep the passphrase apart from it. Check it with: writ ledger verify --data ' + target);
        return EXIT.ok;
      },
    },
    {
      path: 'restore',
      summary: 'Put a backup in place of a lost data directory',
      details:
        'Into an empty directory. The next start compares the copy with the anchor: revocations made since are recorded again, and where certificates were issued since, it refuses and says what to do.',
      parameters: [{ name: 'directory', summary: 'the backup', required: true }],
      flags: [DATA_FLAG],
      changes: true,
      async run(input, terminal) {
        const source = resolve(needed(input, 'directory'));
        const directory = dataDirectory(input.flag('data')!);
        for (const name of [DATABASE, CONFIG]) {
          if (existsSync(join(source, name))) continue;
          throw new WritError('bad_config', 'This is not a backup', {
            field: 'directory',
            remedy: `There is no ${name} in ${source}.`,
          });
        }
        const begun = existsSync(directory.restoring);
        if (isInitialised(directory) || (existsSync(directory.database) && !begun)) {
          throw new WritError('conflict', 'There is an installation in this place', {
            field: '--data',
            remedy: `Move it away first; nothing is overwritten: ${directory.path}`,
          });
        }
        if (input.dryRun) {
          terminal.result(
            { would: 'restore', from: source, to: directory.path },
            `Would restore ${source} to ${directory.path}.`,
          );
          return EXIT.ok;
        }
        prepareDirectory(directory, { restoring: true });
        // The configuration gets its name last: until then nothing but another restore goes on here.
        copyFileSync(join(source, CONFIG), directory.restoring);
        chmodSync(directory.restoring, 0o600);
        const fresh = `${directory.database}.new`;
        rmSync(fresh, { force: true });
        copySqlite(join(source, DATABASE), fresh);
        renameSync(fresh, directory.database);
        renameSync(directory.restoring, directory.config);
        terminal.result({ restored: directory.path }, `Restored  ${directory.path}`);
        terminal.say(
          `Put the passphrase at ${directory.passphrase} if it is gone. Next: writ start --data ${directory.path}`,
        );
        return EXIT.ok;
      },
    },
  ];
}

function requireNew(path: string): void {
  if (!existsSync(path) || readdirSync(path).length === 0) return;
  throw new WritError('conflict', 'The directory is not empty', {
    field: 'directory',
    remedy: `Name a new one: ${path}`,
  });
}
