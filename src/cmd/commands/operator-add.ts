import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { countEntriesOf } from '../../attest/entry/store.ts';
import { countUsedTokensOf } from '../../attest/token/store.ts';
import { demand } from '../../base/demand.ts';
import { WritError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import type { WithApi } from '../../cli/api.ts';
import { APPROVAL_FLAGS } from '../../cli/approval-flags.ts';
import { type Command, EXIT, type Input } from '../../cli/command.ts';
import { CONNECTION_FLAGS } from '../../cli/connection.ts';
import { credentialFile, readCredential } from '../../cli/credential.ts';
import { needed } from '../../cli/input.ts';
import { requireOrdinary } from '../../registry/group.ts';
import { type Operator, readOperator } from '../../registry/operator.ts';
import type { RevocationParts } from '../../revocation/parts.ts';
import { voidOperatorBefore } from '../../revocation/replace-operator.ts';
import { csrFor, newKey } from '../../sdk/identity/credential.ts';
import { type Name, parseName } from '../../spiffe-id/name.ts';
import { type Administration, administer, DATA_FLAG } from '../administration.ts';
import { asAdministrator, goesToServer, HERE_FLAG, RECOVER_FLAG } from '../as-administrator.ts';
import { ADMINISTRATOR, makeOperatorCredential, serverUrl, writeCredential } from '../operator-credential.ts';
import { PASSPHRASE_FLAGS } from '../passphrase.ts';
import { listenOf } from '../running.ts';
import type { ThreadParts } from '../server/thread-parts.ts';

/** `writ operator add`: on the server's machine, or from anywhere with the approval of others. */
export function operatorAddCommand(log: () => Log, withApi: WithApi): Command {
  return {
    path: 'operator add',
    summary: 'Add an operator and write their credential to a file',
    details:
      'On the server’s machine, with the passphrase, also while the server runs; or from anywhere with an approval. The key is made where the command runs; with --request-approval it waits in FILE.asked.',
    parameters: [{ name: 'name', summary: 'name of the operator', required: true }],
    flags: [
      DATA_FLAG,
      { name: 'out', value: 'file', summary: 'new file for the credential (default NAME-operator.json)' },
      {
        name: 'person',
        value: 'person',
        summary: 'whose credential it is, when they have one already; otherwise somebody new by the same name',
      },
      { name: 'program', summary: 'a program’s, not a person’s: it counts in nothing that takes people' },
      { name: 'email', value: 'address', summary: 'of somebody new; the ledger has a salted hash of it alone' },
      {
        name: 'group',
        value: 'group',
        summary: 'take the person into this group at once, where one person alone runs the installation',
        many: true,
      },
      {
        name: 'replace',
        summary: 'the operator lost their credential: certificates and join tokens of before are void',
      },
      ...PASSPHRASE_FLAGS,
      HERE_FLAG,
      RECOVER_FLAG,
      ...APPROVAL_FLAGS,
      ...CONNECTION_FLAGS,
    ],
    changes: true,
    async run(input, terminal) {
      const name = parseName(needed(input, 'name'), 'name');
      const out = resolve(input.flag('out') ?? join('.', `${name}-operator.json`));
      if (input.dryRun) {
        terminal.result({ would: 'add', operator: name, out }, `Would add operator ${name} and write ${out}.`);
        return EXIT.ok;
      }
      const left = goesToServer(input)
        ? await addOverNetwork(input, { name, out }, withApi)
        : await administer(input, log(), (opened) => addHere(input, { name, out }, opened));
      terminal.result({ operator: name, credential: out }, `Operator ${name}: ${out}`);
      if (left.tokens > 0) terminal.say(mayHaveLetIn(name, left.tokens));
      if (left.entries > 0) terminal.say(stillLetsIn(name, left.entries));
      terminal.say('Hand the file over safely; it is a private key. Use it with --operator or WRIT_OPERATOR.');
      return EXIT.ok;
    },
  };
}

/** What a replaced operator had made: join tokens that have let somebody in, and registration entries that stand. */
interface Left {
  readonly tokens: number;
  readonly entries: number;
}

const NOTHING: Left = { tokens: 0, entries: 0 };

/** Gives what is to be looked at where an operator was replaced. */
async function addHere(
  input: Input,
  { name, out }: { readonly name: Name; readonly out: string },
  { directory, config, parts }: Administration,
): Promise<Left> {
  const existing = input.has('replace');
  const before = await readOperator(parts.reader, name, parts.clock.now());
  if (before !== undefined && !existing) throw taken(before);
  const server = input.flag('server') ?? serverUrl({ ...config, listen: listenOf(config, directory) });
  const whose = { person: input.flag('person'), email: input.flag('email'), groups: input.flags('group') };
  const program = input.has('program');
  if (program && (whose.person !== undefined || whose.email !== undefined || whose.groups.length > 0)) {
    throw new WritError('bad_request', 'A program is nobody and in no group', {
      field: '--program',
      remedy: 'Leave out --person, --email and --group.',
    });
  }
  if (existing && (program || whose.person !== undefined || whose.email !== undefined || whose.groups.length > 0)) {
    throw new WritError('bad_request', 'A credential that is replaced stays whose it is', {
      field: '--replace',
      remedy: 'Leave out --person, --program, --email and --group.',
    });
  }
  for (const group of whose.groups) requireOrdinary(group, '--group');
  const parameters = {
    ...{ name, replace: existing, program },
    ...Object.fromEntries(Object.entries(whose).filter(([, value]) => value !== undefined && value.length > 0)),
  };
  const { credential, serial } = await asAdministrator(
    input,
    { command: 'operator add', parameters },
    parts,
    (caller, { authorize, commit }) => {
      for (const group of whose.groups) demandAlone(group, parts);
      demand(authorize, { caller, action: 'operator.add', resource: { type: 'Operator', id: name } });
      return makeOperatorCredential(
        { name, server, existing, program, ...whose },
        { ...parts, issuance: { ...parts.issuance, commit } },
      );
    },
  );
  writeCredential(out, credential, false);
  if (!existing) return NOTHING;
  // Whoever finds what was lost is to find it worthless.
  await voidOperatorBefore(ADMINISTRATOR, { operator: name, keep: serial }, revocationOf(parts));
  const { reader } = parts;
  return { tokens: await countUsedTokensOf(reader, name), entries: await countEntriesOf(reader, name) };
}

export function revocationOf({ reader, commit, clock, certificates, policy }: ThreadParts): RevocationParts {
  return { reader, commit, clock, certificates, authorize: policy.authorize, refresh: () => policy.fresh() };
}

/** Two things at once would take two approvals. */
function demandAlone(group: string, { policy }: ThreadParts): void {
  const resource = { type: 'Group', id: group } as const;
  if (policy.authorize({ caller: ADMINISTRATOR, action: 'group.change', resource }).allowed) return;
  throw new WritError('bad_request', 'Groups change by an approval of their own once there are others to agree', {
    field: '--group',
    remedy: `Leave it out, and then run "writ group add ${group} PERSON".`,
  });
}

/** The key is made when the approval is asked for, since the approval is for a request with that very key. */
async function addOverNetwork(
  input: Input,
  { name, out }: { readonly name: Name; readonly out: string },
  withApi: WithApi,
): Promise<Left> {
  const local = ['replace', 'program'].find((flag) => input.has(flag));
  if (local !== undefined || input.flags('group').length > 0) {
    throw new WritError('bad_request', 'That is done on the server’s machine', {
      field: `--${local ?? 'group'}`,
      remedy: 'Say --here there, with the passphrase.',
    });
  }
  const { roots } = readCredential(credentialFile(input.flag('operator')));
  const waiting = `${out}.asked`;
  const { key, csr } = existsSync(waiting) ? readWaiting(waiting) : await makeWaiting(waiting, roots[0]!);
  const [person, email] = [input.flag('person'), input.flag('email')];
  const body = { name, csr, ...(person === undefined ? {} : { person }), ...(email === undefined ? {} : { email }) };
  await withApi(input, async (api) => {
    const { certificate, chain } = await api.post('/v1/operators', body);
    const own = [certificate as string, ...(chain as readonly string[])];
    writeCredential(out, { version: 1, name, server: api.server, roots, chain: own, key }, false);
  });
  rmSync(waiting);
  return NOTHING;
}

interface Waiting {
  /** PKCS #8, PEM. */
  readonly key: string;
  /** PEM. */
  readonly csr: string;
}

async function makeWaiting(path: string, root: string): Promise<Waiting> {
  const key = newKey(root);
  const made: Waiting = { key: key.export({ type: 'pkcs8', format: 'pem' }) as string, csr: await csrFor(key) };
  writeFileSync(path, `${JSON.stringify(made, undefined, 2)}\n`, { mode: 0o600, flag: 'wx', flush: true });
  return made;
}

function readWaiting(path: string): Waiting {
  try {
    const { key, csr } = JSON.parse(readFileSync(path, 'utf8')) as Partial<Waiting>;
    if (typeof key === 'string' && typeof csr === 'string') return { key, csr };
  } catch {
    // Said below.
  }
  throw new WritError('bad_config', 'The file with the key that waits for an approval cannot be read', {
    field: '--out',
    remedy: `Remove it and ask anew: ${path}`,
  });
}

/** Instances are not stopped with the credential that let them in: most of them are the operator's own. */
function mayHaveLetIn(name: string, tokens: number): string {
  return (
    `${tokens} join tokens of ${name} have let instances in, which go on. Look for those that ${name} did not make ` +
    '("writ token list", "writ ledger list --subject token:ID") and stop what they let in ("writ instance stop").'
  );
}

/** Entries stay, too: what runs rests on them. */
function stillLetsIn(name: string, entries: number): string {
  return (
    `${entries} registration entries of ${name} stand and let instances in. Look for those that ${name} did not make ` +
    '("writ entry list") and remove them ("writ entry remove").'
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
