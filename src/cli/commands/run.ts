import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants, tmpdir } from 'node:os';
import { WritError } from '../../base/error.ts';
import { connect } from '../../sdk/connect.ts';
import type { Identity } from '../../sdk/identity.ts';
import { type OpenApi, textOf } from '../api.ts';
import { type Command, EXIT, type Flag, type Input } from '../command.ts';
import { IdentityFiles } from '../identity-files.ts';

const SOURCE: readonly Flag[] = [
  { name: 'agent', value: 'name', summary: 'agent of which this is an instance; an operator credential lets it in' },
  { name: 'service', value: 'name', summary: 'the same for a service' },
  { name: 'token-file', value: 'file', summary: 'file with a join token, where there is no operator credential' },
];

/** `writ run` and `writ enrol`: an identity for programs that know nothing of Writ. */
export function runCommands(open: OpenApi): readonly Command[] {
  return [
    {
      path: 'run',
      summary: 'Run a program with an identity of its own',
      details:
        'The program finds its certificate, key and roots as files that are renewed under its feet, named by WRIT_CERT_FILE, WRIT_KEY_FILE and WRIT_BUNDLE_FILE; WRIT_SPIFFE_ID says who it is. The files go when it ends.',
      parameters: [{ name: 'program', summary: 'program and its arguments, after --', required: true, rest: true }],
      flags: [
        ...SOURCE,
        { name: 'signal', value: 'name', summary: 'sent to the program after each renewal, e.g. SIGHUP' },
      ],
      examples: [
        { line: 'writ run --agent planner -- node agent.js', does: 'runs agent.js as a new instance of planner' },
      ],
      async run(input, terminal) {
        const signal = input.flag('signal');
        if (signal !== undefined && !(signal in constants.signals)) {
          throw new WritError('bad_request', 'There is no such signal', {
            field: '--signal',
            remedy: 'Use e.g. SIGHUP.',
          });
        }
        const identity = await newIdentity(input, open);
        const files = await IdentityFiles.make(tmpdir(), identity.credential);
        try {
          terminal.say(`Running as ${identity.spiffeId}`);
          return await runProgram(input.rest, identity, files, signal as NodeJS.Signals | undefined);
        } finally {
          identity.close();
          await files.remove();
        }
      },
    },
    {
      path: 'enrol',
      summary: 'Enrol an instance and write its certificate, key and roots to a directory',
      details: 'The files are not renewed; for that use "writ run" or the SDK.',
      flags: [...SOURCE, { name: 'out', value: 'directory', summary: 'new directory for the files', required: true }],
      async run(input, terminal) {
        const identity = await newIdentity(input, open);
        try {
          const files = await IdentityFiles.at(input.flag('out')!, identity.credential);
          const { serial, notAfter } = identity.credential;
          const answer = {
            spiffe_id: identity.spiffeId,
            serial,
            not_after: new Date(notAfter).toISOString(),
            files: files.paths,
          };
          terminal.result(
            answer,
            `${identity.spiffeId}\ncertificate  ${files.paths.certificate}\nkey          ${files.paths.key}\nroots        ${files.paths.bundle}`,
          );
          return EXIT.ok;
        } finally {
          identity.close();
        }
      },
    },
  ];
}

async function newIdentity(input: Input, open: OpenApi): Promise<Identity> {
  const tokenFile = input.flag('token-file');
  if (tokenFile !== undefined) return connect({ tokenFile });
  const [kind, name] =
    input.flag('service') === undefined ? ['agent', input.flag('agent')] : ['service', input.flag('service')];
  if (name === undefined) {
    throw new WritError('bad_request', 'Nothing says whose instance this is', {
      field: '--agent',
      remedy: 'Give --agent, --service or --token-file.',
    });
  }
  const api = await open(input);
  try {
    const token = await api.post('/v1/tokens', { [kind!]: name, uses: 1, lifetime_seconds: 60 });
    return await connect({ token: textOf(token, 'token') });
  } finally {
    api.close();
  }
}

/** Runs the program to its end, passing on signals; gives its exit code, or 128 + n when signal n ended it. */
async function runProgram(
  [program, ...args]: readonly string[],
  identity: Identity,
  files: IdentityFiles,
  signal: NodeJS.Signals | undefined,
): Promise<number> {
  const child = spawn(program!, args, {
    stdio: 'inherit',
    env: {
      ...process.env,
      WRIT_SPIFFE_ID: identity.spiffeId,
      WRIT_CERT_FILE: files.paths.certificate,
      WRIT_KEY_FILE: files.paths.key,
      WRIT_BUNDLE_FILE: files.paths.bundle,
    },
  });
  identity.on('renewed', (credential) => {
    files.replace(credential).then(
      () => signal !== undefined && child.kill(signal),
      (error: Error) => identity.emit('failed', error),
    );
  });
  const pass = (name: NodeJS.Signals): boolean => child.kill(name);
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, pass);
  try {
    const [code, ended] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
    return code ?? 128 + (ended === null ? 0 : constants.signals[ended]);
  } catch (cause) {
    throw new WritError('not_found', 'The program cannot be run', {
      field: 'program',
      remedy: `Check that ${program} exists and may be executed.`,
      cause,
    });
  } finally {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(name, pass);
  }
}
