import { isWritError, WritError } from '../../base/error.ts';
import { decodePemBlocks } from '../../der/pem.ts';
import { parseCertificate } from '../../x509/certificate.ts';
import { confinementFault } from '../../x509/confinement.ts';
import type { WithApi } from '../api.ts';
import { type Command, EXIT, type Flag, type Input, type Terminal } from '../command.ts';
import { table } from '../table.ts';
import { installRoots, type Outcome, uninstallRoots } from '../trust/install.ts';
import { thisMachine } from '../trust/machine.ts';
import { type Root, rootOf, STORES, type StoreName } from '../trust/place.ts';
import { readInput } from '../values.ts';

const STORE: Flag = {
  name: 'store',
  value: 'name',
  summary: `into these alone: ${STORES.join(', ')}`,
  choices: STORES,
  many: true,
};

/** `writ trust …`: the root in the stores of this machine, so that its browsers and programs know Writ's certificates. */
export function trustCommands(withApi: WithApi): readonly Command[] {
  return [
    {
      path: 'trust install',
      summary: 'Have this machine trust the root: system, Java, Node, Python, browsers',
      details:
        'A root that could vouch for names of everybody is refused: its name constraints must leave neither DNS names nor addresses open. What is put where is noted, and taken out again by "writ trust uninstall".',
      flags: [{ name: 'root', value: 'file', summary: 'PEM of the roots; else those of the server' }, STORE],
      changes: true,
      examples: [{ line: 'writ trust install --dry-run', does: 'says into which stores it would go' }],
      async run(input, terminal) {
        const roots = await rootsFor(input, withApi);
        for (const root of roots) requireConfined(root);
        const outcomes = await installRoots(roots, { stores: storesOf(input), dryRun: input.dryRun }, thisMachine());
        return shown(outcomes, input, terminal);
      },
    },
    {
      path: 'trust uninstall',
      summary: 'Take out of the stores of this machine what "writ trust install" has put in',
      flags: [{ name: 'root', value: 'file', summary: 'PEM of these roots alone' }, STORE],
      changes: true,
      async run(input, terminal) {
        const options = { stores: storesOf(input), dryRun: input.dryRun };
        const file = input.flag('root');
        const roots = file === undefined ? undefined : rootsIn(readInput(file, '--root'), file);
        const machine = thisMachine();
        const outcomes = roots === undefined ? await uninstallRoots(options, machine) : [];
        // One after the other: each writes down what is left.
        for (const { fingerprint } of roots ?? []) {
          outcomes.push(...(await uninstallRoots({ ...options, fingerprint }, machine)));
        }
        return shown(outcomes, input, terminal);
      },
    },
  ];
}

function storesOf(input: Input): readonly StoreName[] {
  const chosen = input.flags('store') as readonly StoreName[];
  return chosen.length === 0 ? STORES : STORES.filter((store) => chosen.includes(store));
}

async function rootsFor(input: Input, withApi: WithApi): Promise<readonly Root[]> {
  const file = input.flag('root');
  if (file !== undefined) return rootsIn(readInput(file, '--root'), file);
  return rootsIn(await withApi(input, (api) => api.text('/v1/trust/bundle.pem')));
}

/** `file`: where it was read; absent for what the server gave. Throws `bad_pem` with the flag and the file. */
function rootsIn(pem: string, file?: string): Root[] {
  const where = file === undefined ? 'what the server gave' : `the file ${file}`;
  const remedy = 'Give the PEM of a root, as "writ ca list" or the bundle has it.';
  try {
    const roots = decodePemBlocks(pem)
      .filter(({ label }) => label === 'CERTIFICATE')
      .map(({ der }) => rootOf(parseCertificate(der).raw));
    if (roots.length > 0) return roots;
  } catch (cause) {
    if (!isWritError(cause)) throw cause;
    const message = `There is no PEM of certificates in ${where}: ${cause.message}.`;
    throw new WritError('bad_pem', message, { field: '--root', remedy, cause });
  }
  throw new WritError('bad_pem', `There is no certificate in ${where}.`, { field: '--root', remedy });
}

function requireConfined({ der, fingerprint }: Root): void {
  const fault = confinementFault(parseCertificate(der));
  if (fault === undefined) return;
  throw new WritError('denied', `The root ${fingerprint.slice(0, 16)}… ${fault}.`, {
    field: '--root',
    remedy: 'Trust roots whose name constraints permit your own domains and networks alone.',
  });
}

const SAID: Readonly<Record<Outcome['state'], readonly [done: string, would: string]>> = {
  put: ['trusted', 'would be trusted'],
  there: ['was there before', 'is there already'],
  taken: ['taken out', 'would be taken out'],
  gone: ['was not there any more', 'is not there any more'],
  failed: ['failed', 'cannot be looked at'],
};

function shown(outcomes: readonly Outcome[], { dryRun }: Input, terminal: Terminal): number {
  const rows = outcomes.map(({ store, where, state, note = '' }) => [store, where, SAID[state][dryRun ? 1 : 0], note]);
  const text = table(['STORE', 'WHERE', '', ''], rows, { empty: 'Nothing to do.', colour: terminal.colour });
  terminal.result({ items: outcomes, dry_run: dryRun }, text);
  return outcomes.some(({ state }) => state === 'failed') ? EXIT.findings : EXIT.ok;
}
