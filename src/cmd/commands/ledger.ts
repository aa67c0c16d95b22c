import { readFileSync } from 'node:fs';
import { systemClock } from '../../base/clock.ts';
import { WritError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import { systemRandom } from '../../base/random.ts';
import { type Command, EXIT, type Input, type Terminal } from '../../cli/command.ts';
import { migrate } from '../../db/migrate.ts';
import { startNewLog } from '../../ledger/start-log.ts';
import { verifyLedger } from '../../ledger/verify.ts';
import { type NoteKey, parseVerifierKey } from '../../merkle/note-key.ts';
import { certificateCheck } from '../../report/index-check.ts';
import { DATA_FLAG, unlock } from '../administration.ts';
import { readConfig } from '../config/config.ts';
import { dataDirectory, lockDirectory } from '../data-directory.ts';
import { openEngine } from '../engine.ts';
import { ledgerNoteKeys, ledgerSigners, openLedgerKeys } from '../ledger-keys.ts';
import { PASSPHRASE_FLAGS } from '../passphrase.ts';
import { logOptions } from '../recorder.ts';
import { type StillLedger, withStillLedger } from '../still-ledger.ts';
import { acceptClockCommand } from './accept-clock.ts';

/** So many findings are printed; all are counted. */
const MOST_PRINTED = 100;

export function ledgerCommands(log: () => Log): readonly Command[] {
  return [verifyCommand(log), newLogCommand(log), acceptClockCommand(log)];
}

function verifyCommand(log: () => Log): Command {
  return {
    path: 'ledger verify',
    summary: 'Verify a data directory or backup offline: every hash, both signatures, every index',
    details:
      'Needs no server and no passphrase. Of a running server’s data a copy is made first, and of an older version’s. Exit code 7 when anything does not fit.',
    flags: [
      DATA_FLAG,
      {
        name: 'keys',
        value: 'file',
        summary:
          'verifier keys from somewhere else, as https://SERVER/ledger/keys gives them; without, those in the copy itself',
      },
      { name: 'anchor', value: 'directory', summary: 'anchor to compare with; otherwise the one of the configuration' },
      { name: 'no-anchor', summary: 'verify without an anchor' },
    ],
    examples: [
      {
        line: 'writ ledger verify --data /backup/writ-2026-11-22 --keys writ-ledger-keys',
        does: 'trusts nothing but the keys',
      },
    ],
    async run(input, terminal) {
      const directory = dataDirectory(input.flag('data')!);
      const config = readConfig(directory.config);
      const anchor = input.has('no-anchor') ? undefined : (input.flag('anchor') ?? config.anchor);
      const copying = (why: string): void => terminal.progress(`${why}: copying first`);
      const place = { directory, config, anchor, log: log(), copying };
      return withStillLedger(place, (ledger) => verify(input, terminal, ledger, anchor));
    },
  };
}

async function verify(
  input: Input,
  terminal: Terminal,
  ledger: StillLedger,
  place: string | undefined,
): Promise<number> {
  const { reader, anchor, anchoredBefore } = ledger;
  const file = input.flag('keys');
  const keys = file === undefined ? await ledgerNoteKeys(reader) : readKeys(file);
  const findings: { where: string; what: string }[] = [];
  const summary = await verifyLedger({
    reader,
    keys: [keys[0]!, keys[1]!],
    ...(anchor === undefined ? {} : { anchor, anchoredBefore }),
    checks: [certificateCheck(reader)],
    report(where, what) {
      if (findings.length < MOST_PRINTED) findings.push({ where, what });
    },
    progress: ({ entries, of }) => terminal.progress(`verified ${entries} of ${of} entries`),
  });
  const good = summary.findings === 0;
  const lines = [
    ...findings.map(({ where, what }) => `${where}: ${what}`),
    ...(summary.findings > findings.length ? [`… and ${summary.findings - findings.length} more`] : []),
    `${good ? 'Verified' : 'NOT verified'}: ${summary.origin}, ${summary.entries} entries, ${summary.checkpoints} checkpoints, ${summary.findings} findings`,
  ];
  const trusted = { keys: file ?? 'from the copy itself', anchor: anchor === undefined ? 'none' : place };
  terminal.result({ verified: good, ...summary, trusted, findings }, lines.join('\n'));
  terminal.say(`Keys ${trusted.keys}, anchor ${trusted.anchor}.`);
  return good ? EXIT.ok : EXIT.findings;
}

function readKeys(path: string): NoteKey[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new WritError('bad_request', 'The file with the keys cannot be read', {
      field: '--keys',
      remedy: `Check the path: ${path}`,
      cause,
    });
  }
  const keys = text.split('\n').filter(Boolean).map(parseVerifierKey);
  if (keys.length === 2) return keys;
  throw new WritError('bad_request', 'These are not the two verifier keys of a ledger', {
    field: '--keys',
    remedy: 'Fetch them from /ledger/keys of the server while you trust it.',
  });
}

function newLogCommand(log: () => Log): Command {
  return {
    path: 'ledger new-log',
    summary: 'Go on with an older copy after the newest data is lost for good',
    details:
      'Starts a new log over the entries that are left. Its first entry names the checkpoint that was lost, and every revocation that the anchor knows is recorded again. Stop the server first.',
    flags: [
      DATA_FLAG,
      { name: 'force', summary: 'also where the anchor is lost, so that nobody knows what is missing' },
      ...PASSPHRASE_FLAGS,
    ],
    changes: true,
    async run(input, terminal) {
      const directory = dataDirectory(input.flag('data')!);
      const config = readConfig(directory.config);
      const lock = lockDirectory(directory);
      const database = await openEngine(config, directory, { readOnly: false });
      try {
        await migrate(database);
        const keyring = await unlock(database, input, directory);
        if (input.dryRun) {
          terminal.result({ would: 'new-log' }, 'Would start a new log over the entries that are left.');
          return EXIT.ok;
        }
        const [clock, random] = [systemClock, systemRandom()];
        const ledgerKeys = ledgerSigners(await openLedgerKeys(database, keyring));
        const options = await logOptions({ config, database, ledgerKeys, clock, random, log: log() });
        const { trustDomain } = config;
        const made = await startNewLog({ ...options, trustDomain, random, force: input.has('force') });
        const types = Object.entries(made.types).sort(([a], [b]) => (a < b ? -1 : 1));
        terminal.result(
          made,
          [
            `New log ${made.origin}; ${made.replayed} records of the anchor are in it again.`,
            ...types.map(([type, count]) => `  ${count} ${type}`),
          ].join('\n'),
        );
        terminal.say(
          'Certificates issued after the copy was made are unknown to it: they have no force here, their instances enrol anew, and those who believe lists alone believe them until they expire ("writ stop authority" ends that). What else was granted since then is gone; who left a group, and rules that were published, are as in the copy: look at both. Next: writ start',
        );
        return EXIT.ok;
      } finally {
        await database.close();
        lock.release();
      }
    },
  };
}
