import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { demand } from '../../base/demand.ts';
import { WritError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import { dueItems } from '../../ca/authority/due.ts';
import { importIntermediate, requestIntermediate } from '../../ca/authority/external-root.ts';
import { issuingLifetime } from '../../ca/authority/issuing-lifetime.ts';
import { pushAuthorityList } from '../../ca/authority/list.ts';
import { rotateIssuing } from '../../ca/authority/maintain.ts';
import { moveRootKeyOut, openOfflineRoot } from '../../ca/authority/offline-root.ts';
import { addIntermediate } from '../../ca/authority/succession.ts';
import { type Hierarchy, readHierarchy } from '../../ca/hierarchy.ts';
import { readProfiles } from '../../ca/profile/store.ts';
import { textOf, type WithApi } from '../../cli/api.ts';
import { APPROVAL_FLAGS } from '../../cli/approval-flags.ts';
import { type Command, EXIT, type Flag, type Input } from '../../cli/command.ts';
import { CONNECTION_FLAGS } from '../../cli/connection.ts';
import { needed } from '../../cli/input.ts';
import { table } from '../../cli/table.ts';
import { type Batch, newBatch } from '../../db/batch.ts';
import { committed } from '../../db/committed.ts';
import { decodePemBlocks, encodePem } from '../../der/pem.ts';
import { readPassphrase } from '../../keys/passphrase-source.ts';
import { parseCertificate } from '../../x509/certificate.ts';
import { type Administration, administer, DATA_FLAG } from '../administration.ts';
import { asAdministrator, goesToServer, HERE_FLAG } from '../as-administrator.ts';
import { ADMINISTRATOR } from '../operator-credential.ts';
import { PASSPHRASE_FLAGS } from '../passphrase.ts';
import { issuingLearned } from '../server/issuing-learned.ts';

const ROOT_KEY_FLAGS = [
  { name: 'root-key', value: 'file', summary: 'file with the root key', required: true },
  {
    name: 'root-passphrase-file',
    value: 'file',
    summary: 'passphrase of the day the file was written, where that is another by now',
  },
] as const;

const INSTALLATION = { type: 'Installation', id: 'writ' } as const;

/** Of what changes whom everybody trusts: where there are others, with their approval. */
const CHANGE_FLAGS: readonly Flag[] = [...PASSPHRASE_FLAGS, HERE_FLAG, ...APPROVAL_FLAGS];

/** What is done to authorities on the server's machine, with the passphrase; also while the server runs. */
export function authorityCommands(log: () => Log, withApi: WithApi): readonly Command[] {
  /** Runs `act` on the opened installation and commits what it pushes. */
  const push = (
    input: Input,
    act: (batch: Batch, opened: Administration, hierarchy: Hierarchy) => Promise<void>,
  ): Promise<void> =>
    administer(input, log(), async (opened) => {
      const batch = newBatch();
      await act(batch, opened, (await readHierarchy(opened.database))!);
      committed(await opened.parts.commit(batch));
    });
  /** The same for what others agree to. */
  const change = (
    input: Input,
    what: { readonly command: string; readonly parameters?: Readonly<Record<string, string>> },
    act: (batch: Batch, opened: Administration, hierarchy: Hierarchy) => Promise<void>,
  ): Promise<void> =>
    administer(input, log(), (opened) =>
      asAdministrator(input, { parameters: {}, ...what }, opened.parts, async (caller, { authorize, commit }) => {
        demand(authorize, { caller, action: 'authority.rotate', resource: INSTALLATION });
        const batch = newBatch();
        await act(batch, opened, (await readHierarchy(opened.database))!);
        committed(await commit(batch));
      }),
    );
  return [
    {
      path: 'ca due',
      summary: 'Say what a person has to do about the authorities, and by when',
      flags: [DATA_FLAG, ...PASSPHRASE_FLAGS],
      async run(input, terminal) {
        const due = await administer(input, log(), async ({ database, parts }) => {
          const profiles = (await readProfiles(database)).map(({ profile }) => profile);
          const options = { now: parts.clock.now(), issuingLifetime: issuingLifetime(profiles) };
          return dueItems((await readHierarchy(database))!, options);
        });
        const data = input.flag('data')!;
        const at = data === DATA_FLAG.default ? '' : ` --data ${data}`;
        const items = due.map(({ dueAt, command, ...item }) => ({
          ...{ ...item, by: new Date(dueAt).toISOString() },
          // A new installation is not made in the place of this one.
          command: item.what === 'root' ? command : command + at,
        }));
        const rows = items.map(({ by, overdue, message, command }) => [
          overdue ? `${by} OVERDUE` : by,
          message,
          command,
        ]);
        const options = { empty: 'Nothing is due within 60 days.', colour: terminal.colour };
        terminal.result({ items }, table(['BY', 'WHAT', 'COMMAND'], rows, options));
        return due.some(({ overdue }) => overdue) ? EXIT.findings : EXIT.ok;
      },
    },
    {
      path: 'ca rotate',
      summary: 'Replace the issuing authority now',
      details:
        'It happens by itself every 90 days. Certificates of the old one stay valid, and no request fails. On the server’s machine, with the passphrase; or from anywhere with an approval.',
      flags: [DATA_FLAG, ...CHANGE_FLAGS, ...CONNECTION_FLAGS],
      changes: true,
      async run(input, terminal) {
        if (input.dryRun) {
          terminal.result({ would: 'rotate' }, 'Would make a new issuing authority and sign with it from now on.');
          return EXIT.ok;
        }
        if (goesToServer(input)) {
          const answer = await withApi(input, (api) => api.post('/v1/authorities/rotate', {}));
          terminal.result(answer, `Signing with authority ${textOf(answer, 'id')} from now on.`);
          return EXIT.ok;
        }
        const made = await administer(input, log(), ({ database, parts }) =>
          asAdministrator(input, { command: 'ca rotate', parameters: {} }, parts, (caller, { authorize, commit }) => {
            const { keyring, statusUrl, clock, random } = parts;
            demand(authorize, { caller, action: 'authority.rotate', resource: INSTALLATION });
            terminal.progress('making the next issuing authority known to every server');
            return rotateIssuing({
              ...{ reader: database, commit, keyring, statusUrl, clock, random, learned: issuingLearned },
              caller: caller.id,
            });
          }),
        );
        const { id, certificate } = made;
        const expires = new Date(certificate.notAfter).toISOString();
        terminal.result({ id, kind: made.kind, not_after: expires }, `Signing with authority ${id} from now on.`);
        return EXIT.ok;
      },
    },
    {
      path: 'ca sign-crl',
      summary: 'Sign the yearly CRL with the offline root key',
      flags: [DATA_FLAG, ...ROOT_KEY_FLAGS, ...PASSPHRASE_FLAGS],
      changes: true,
      async run(input, terminal) {
        if (input.dryRun) {
          terminal.result({ would: 'sign-crl' }, 'Would sign a CRL good for a year.');
          return EXIT.ok;
        }
        await push(input, async (batch, { parts }, hierarchy) => {
          const root = await offlineRoot(input, hierarchy, parts.keyring);
          await pushAuthorityList(batch, hierarchy, root, { now: parts.clock.now(), caller: ADMINISTRATOR.id });
        });
        terminal.result({ signed: 'crl' }, 'The root CRL is signed for a year. Put the key file away again.');
        return EXIT.ok;
      },
    },
    {
      path: 'ca sign-intermediate',
      summary: 'Sign the next intermediate with the offline root key',
      flags: [DATA_FLAG, ...ROOT_KEY_FLAGS, ...CHANGE_FLAGS],
      changes: true,
      async run(input, terminal) {
        if (input.dryRun) {
          terminal.result(
            { would: 'sign-intermediate' },
            'Would make and sign the next intermediate, good for three years.',
          );
          return EXIT.ok;
        }
        await change(input, { command: 'ca sign-intermediate' }, async (batch, { parts }, hierarchy) => {
          const { clock, random, keyring, statusUrl } = parts;
          const root = await offlineRoot(input, hierarchy, keyring);
          const act = { now: clock.now(), caller: ADMINISTRATOR.id, keyring, random, statusUrl };
          await addIntermediate(batch, hierarchy, root, act);
        });
        terminal.result({ signed: 'intermediate' }, 'The next intermediate is in force. Put the key file away again.');
        return EXIT.ok;
      },
    },
    {
      path: 'ca move-root-key',
      summary: 'Move the root key out of the database into a file',
      parameters: [
        { name: 'file', summary: 'new file for the key, best on a medium that leaves the machine', required: true },
      ],
      flags: [DATA_FLAG, ...CHANGE_FLAGS],
      changes: true,
      async run(input, terminal) {
        const path = needed(input, 'file');
        if (input.dryRun) {
          terminal.result({ would: 'move-root-key', file: path }, `Would move the root key to ${path}.`);
          return EXIT.ok;
        }
        const what = { command: 'ca move-root-key', parameters: { file: resolve(path) } };
        await change(input, what, async (batch, { database, parts }, hierarchy) => {
          const { clock, random, keyring } = parts;
          const act = { now: clock.now(), caller: ADMINISTRATOR.id };
          await moveRootKeyOut(batch, database, hierarchy, { ...act, path, keyring, random });
        });
        terminal.result({ file: path }, `The root key is in ${path} and no longer here.`);
        terminal.say(
          'Take the file off this machine, and keep two copies. Older backups of the database still hold the key, sealed.',
        );
        return EXIT.ok;
      },
    },
    {
      path: 'ca request',
      summary: 'Write the request for the next intermediate under an existing root',
      parameters: [{ name: 'file', summary: 'new file for the request', required: true }],
      flags: [DATA_FLAG, ...PASSPHRASE_FLAGS],
      changes: true,
      async run(input, terminal) {
        const path = needed(input, 'file');
        if (input.dryRun) {
          terminal.result({ would: 'request', file: path }, `Would make a key and write its request to ${path}.`);
          return EXIT.ok;
        }
        await push(input, async (batch, { parts }, hierarchy) => {
          const { clock, random, keyring } = parts;
          const act = { now: clock.now(), caller: ADMINISTRATOR.id, keyring, random };
          const der = await requestIntermediate(batch, hierarchy, act);
          writeFileSync(path, encodePem('CERTIFICATE REQUEST', der), { flag: 'wx' });
        });
        terminal.result({ file: path }, `Request  ${path}`);
        terminal.say('Next: have it signed as a CA with path length 1 or more, then "writ ca import CHAIN.pem"');
        return EXIT.ok;
      },
    },
    {
      path: 'ca import',
      summary: 'Take the intermediate that an existing root has signed',
      parameters: [
        { name: 'file', summary: 'PEM: the certificate and those above it, the root included', required: true },
      ],
      flags: [DATA_FLAG, ...CHANGE_FLAGS],
      changes: true,
      async run(input, terminal) {
        const path = needed(input, 'file');
        const certificates = readCertificates(path);
        if (input.dryRun) {
          terminal.result(
            { would: 'import', certificates: certificates.length },
            `Would import ${certificates.length} certificates.`,
          );
          return EXIT.ok;
        }
        const chain = certificates.map(({ raw }) => encodePem('CERTIFICATE', raw)).join('');
        const what = { command: 'ca import', parameters: { certificates: chain } };
        await change(input, what, async (batch, { database, parts }, hierarchy) => {
          const { clock, random, keyring, statusUrl } = parts;
          const profiles = (await readProfiles(database)).map(({ profile }) => profile);
          const means = { keyring, random, statusUrl, profiles, certificates };
          const act = { now: clock.now(), caller: ADMINISTRATOR.id, ...means };
          await importIntermediate(batch, database, hierarchy, act);
        });
        terminal.result({ imported: certificates.length }, 'The intermediate is in force.');
        terminal.say('Next: writ start');
        return EXIT.ok;
      },
    },
  ];
}

async function offlineRoot(input: Input, hierarchy: Hierarchy, keyring: Administration['parts']['keyring']) {
  const path = input.flag('root-passphrase-file');
  const passphrase = path === undefined ? undefined : await readPassphrase({ kind: 'file', path }, {});
  return openOfflineRoot(hierarchy, {
    path: input.flag('root-key')!,
    ...(passphrase === undefined ? { keyring } : { passphrase }),
  });
}

function readCertificates(path: string) {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new WritError('bad_request', 'The file cannot be read', {
      field: 'file',
      remedy: `Check the path: ${path}`,
      cause,
    });
  }
  return decodePemBlocks(text)
    .filter(({ label }) => label === 'CERTIFICATE')
    .map(({ der }) => parseCertificate(der));
}
