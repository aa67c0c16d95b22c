import { tmpdir } from 'node:os';
import { isWritError, WritError } from '../../base/error.ts';
import { connect } from '../../sdk/enrolment/connect.ts';
import type { WithEvidence } from '../../sdk/evidence/source.ts';
import type { Identity } from '../../sdk/identity/identity.ts';
import { parseJoinToken } from '../../wire/join-token.ts';
import { textOf, type WithApi } from '../api.ts';
import { onceAskedToStop } from '../asked-to-stop.ts';
import { ATTESTOR_FLAGS, evidenceGiven } from '../attestor-flags.ts';
import { type Command, EXIT, type Flag, type Input, type Terminal } from '../command.ts';
import { IdentityFiles } from '../identity-files.ts';
import { parseSignal, runProcess } from '../process.ts';
import { readInput } from '../values.ts';

/** How it is said whose instance a program is. */
export const SOURCE: readonly Flag[] = [
  {
    name: 'agent',
    value: 'name',
    summary: 'agent of which this is an instance; an operator credential lets it in, or what --attestor is shown',
  },
  { name: 'service', value: 'name', summary: 'the same for a service' },
  {
    name: 'token-file',
    value: 'file',
    summary: 'file with a join token, where there is no operator credential; - for standard input',
  },
  ...ATTESTOR_FLAGS,
];

/** `writ run` and `writ enrol`: an identity for programs that know nothing of Writ. */
export function runCommands(withApi: WithApi): readonly Command[] {
  return [runCommand(withApi), enrolCommand(withApi)];
}

function runCommand(withApi: WithApi): Command {
  return {
    path: 'run',
    summary: 'Run a program with an identity of its own',
    details:
      'The program finds its certificate, key and roots as files that are renewed under its feet, named by WRIT_CERT_FILE, WRIT_KEY_FILE and WRIT_BUNDLE_FILE; WRIT_SPIFFE_ID says who it is. When it ends, its instance is stopped and the files are removed. The exit code is that of the program.',
    parameters: [
      {
        name: 'program',
        summary: 'program and its arguments, after -- or not',
        required: true,
        rest: true,
        program: true,
      },
    ],
    flags: [
      ...SOURCE,
      { name: 'signal', value: 'name', summary: 'sent to the program after each renewal, e.g. SIGHUP' },
      { name: 'keep', summary: 'let the identity live on until it expires when the program has ended' },
    ],
    examples: [
      { line: 'writ run --agent planner -- node agent.js', does: 'runs agent.js as a new instance of planner' },
      {
        line: 'writ run --server https://writ.example.com:8443 --root sha256:… --attestor github --evidence github-actions --evidence-audience agents.example.com -- ./deploy.sh',
        does: 'the same in a job of GitHub Actions, without any secret',
      },
      {
        line: `writ run --agent planner -- sh -c 'curl --cert $WRIT_CERT_FILE --key $WRIT_KEY_FILE --cacert $WRIT_BUNDLE_FILE https://…'`,
        does: 'mutual TLS for a program that reads files',
      },
    ],
    async run(input, terminal) {
      const signal = parseSignal(input.flag('signal'), '--signal');
      const identity = await newIdentity(input, withApi);
      let over = false;
      identity.on('failed', (error) => terminal.say(`renewal failed, will be tried again: ${error.message}`));
      identity.on('ended', (error) => {
        over = true;
        terminal.say(`the identity has ended: ${error.message}`);
      });
      // Where the system has a place in memory for what concerns one person alone, keys lie there.
      const files = await IdentityFiles.make(process.env['XDG_RUNTIME_DIR'] ?? tmpdir(), identity.credential);
      try {
        terminal.say(`Running as ${identity.spiffeId}`);
        return await runProcess(input.rest, {
          environment: {
            WRIT_SPIFFE_ID: identity.spiffeId,
            WRIT_CERT_FILE: files.paths.certificate,
            WRIT_KEY_FILE: files.paths.key,
            WRIT_BUNDLE_FILE: files.paths.bundle,
          },
          begun(send) {
            identity.on('renewed', (credential) => {
              files.replace(credential).then(
                () => signal !== undefined && send(signal),
                (error: Error) => identity.emit('failed', error),
              );
            });
          },
        });
      } finally {
        // What has ended the program may well be sent here, too, by several.
        const deaf = onceAskedToStop(() => undefined);
        await files.remove();
        if (input.has('keep') || over) identity.close();
        else await stop(identity, terminal);
        deaf();
      }
    },
  };
}

function enrolCommand(withApi: WithApi): Command {
  return {
    path: 'enrol',
    summary: 'Enrol an instance and write its certificate, key and roots to a directory',
    details: 'The files are not renewed; for that use "writ run" or the client library.',
    flags: [...SOURCE, { name: 'out', value: 'directory', summary: 'new directory for the files', required: true }],
    changes: true,
    async run(input, terminal) {
      const out = IdentityFiles.requireNew(input.flag('out')!);
      if (input.dryRun) {
        const by = await wouldEnrol(input, withApi);
        terminal.result(
          { would: 'enrol', ...by, directory: out },
          `Would enrol ${describe(by)} and write its files to ${out}`,
        );
        return EXIT.ok;
      }
      const identity = await newIdentity(input, withApi);
      try {
        const { paths } = await IdentityFiles.at(out, identity.credential);
        const { serial, notAfter } = identity.credential;
        const expires = new Date(notAfter).toISOString();
        terminal.result(
          { spiffe_id: identity.spiffeId, serial, not_after: expires, files: paths },
          [
            identity.spiffeId,
            `certificate  ${paths.certificate}   (until ${expires})`,
            `key          ${paths.key}`,
            `roots        ${paths.bundle}`,
          ].join('\n'),
        );
        return EXIT.ok;
      } finally {
        identity.close();
      }
    },
  };
}

/** Says that the work is done, so that what is left of the certificate's life is worth nothing to anybody. */
async function stop(identity: Identity, terminal: Terminal): Promise<void> {
  try {
    await identity.stop('task_completed');
  } catch (error) {
    identity.close();
    if (isWritError(error, 'revoked')) {
      terminal.say('the instance had been stopped while the program ran');
      return;
    }
    const expires = new Date(identity.credential.notAfter).toISOString();
    terminal.say(
      `the instance could not be stopped and ends with its certificate, ${expires}: ${(error as Error).message}`,
    );
  }
}

/** Seconds that the token of `--agent` lives: it is used at once. */
const TOKEN_LIFETIME = 60;

/** What an identity is of. */
type Kind = 'agent' | 'service';
const KINDS: readonly Kind[] = ['agent', 'service'];

/** Whose instance it would be, and whether it may be: what can be known without using up a token. */
async function wouldEnrol(input: Input, withApi: WithApi): Promise<Readonly<Record<string, string>>> {
  const evidence = evidenceOf(input);
  if (evidence !== undefined) return { server: evidence.server, attestor: input.flag('attestor')! };
  const { kind, value } = sourceOf(input);
  if (kind === 'token-file') {
    return { server: parseJoinToken(readInput(value, '--token-file')).address };
  }
  return withApi(input, async (api) => {
    const found = await api.get(`/v1/${kind}s/${encodeURIComponent(value)}`);
    return { [kind]: value, status: textOf(found, 'status') };
  });
}

function describe({ server, attestor, status, ...whose }: Readonly<Record<string, string>>): string {
  if (attestor !== undefined) return `an instance at ${server}, if the attestor ${attestor} vouches for it,`;
  if (server !== undefined) return `an instance at ${server}, as its join token says,`;
  const [kind, name] = Object.entries(whose)[0]!;
  return `an instance of the ${kind} ${name} (${status})`;
}

function sourceOf(
  input: Input,
  kinds: readonly Kind[] = KINDS,
): { readonly kind: Kind | 'token-file'; readonly value: string } {
  const [given, another] = [...kinds, 'token-file' as const].flatMap((kind) => {
    const value = input.flag(kind);
    return value === undefined ? [] : [{ kind, value }];
  });
  if (given !== undefined && another === undefined) return given;
  throw notSaidOnce(kinds);
}

/** What an attestor is shown, where one is named: as whom it lets in, one of the other flags may say, or its entries do. */
function evidenceOf(input: Input, kinds: readonly Kind[] = KINDS): WithEvidence | undefined {
  const [name, another] = ['agent', 'service', 'token-file'].filter((flag) => input.flag(flag) !== undefined);
  const evidence = evidenceGiven(input, name === undefined ? undefined : input.flag(name));
  if (evidence !== undefined && (name === 'token-file' || another !== undefined)) throw notSaidOnce(kinds);
  return evidence;
}

/** `kinds`: those whose flag the command has. */
function notSaidOnce(kinds: readonly Kind[]): WritError {
  const flags = kinds.map((kind) => `--${kind}`);
  return new WritError('bad_request', 'It has to be said once whose instance this is', {
    field: flags[0]!,
    remedy: `Give one of ${flags.join(', ')} and --token-file; or --attestor, where ${flags.join(' or ')} may say as whom.`,
  });
}

/** A new instance as the flags of `SOURCE` say; kept in a directory where one is given. */
async function newIdentity(
  input: Input,
  withApi: WithApi,
  { store, kinds }: { readonly store?: string | undefined; readonly kinds?: readonly Kind[] | undefined } = {},
): Promise<Identity> {
  const evidence = evidenceOf(input, kinds);
  if (evidence !== undefined) return connect({ evidence, store });
  const { kind, value } = sourceOf(input, kinds);
  if (kind === 'token-file') return connect({ token: readInput(value, '--token-file'), store });
  const token = await withApi(input, async (api) => {
    try {
      const wanted = { [kind]: value, uses: 1, lifetime_seconds: TOKEN_LIFETIME };
      return textOf(await api.post('/v1/tokens', wanted), 'token');
    } catch (error) {
      if (!isWritError(error, 'not_found')) throw error;
      throw new WritError('not_found', `There is no ${kind} by that name`, {
        field: `--${kind}`,
        remedy: `See "writ ${kind} list", or register it: writ ${kind} register NAME …`,
        cause: error,
      });
    }
  });
  return connect({ token, store });
}

/** The identity that a store holds, or a new one, of one of these kinds. `stay`: it outlives this program. */
export async function keptIdentity(
  input: Input,
  withApi: WithApi,
  kinds?: readonly Kind[],
): Promise<{ readonly identity: Identity; readonly stay: boolean }> {
  const store = input.flag('store');
  if (store === undefined) return { identity: await newIdentity(input, withApi, { kinds }), stay: false };
  // Evidence may go with each renewal, too.
  if (evidenceOf(input, kinds) !== undefined) {
    return { identity: await newIdentity(input, withApi, { store, kinds }), stay: true };
  }
  try {
    return { identity: await connect({ store }), stay: true };
  } catch (error) {
    if (!isWritError(error, 'bad_token')) throw error;
    if ([...KINDS, 'token-file'].every((name) => input.flag(name) === undefined)) {
      throw new WritError('bad_token', 'The directory holds no identity that is still good', {
        field: '--store',
        remedy:
          'It may have expired, or have been stopped: "writ instance list" says. Have a new instance let in by --token-file.',
        cause: error,
      });
    }
    return { identity: await newIdentity(input, withApi, { store, kinds }), stay: true };
  }
}
