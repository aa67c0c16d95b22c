import { request } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import type { Daemon } from '../../agent/daemon.ts';
import type { Why } from '../../agent/why.ts';
import { WritError } from '../../base/error.ts';
import type { WithApi } from '../../cli/api.ts';
import { onceAskedToStop } from '../../cli/asked-to-stop.ts';
import { ATTESTOR_FLAGS } from '../../cli/attestor-flags.ts';
import { type Command, EXIT, type Flag, type Input } from '../../cli/command.ts';
import { keptIdentity, SOURCE } from '../../cli/commands/run.ts';
import { CONNECTION_FLAGS } from '../../cli/connection.ts';
import { closeServer, listenAt, parseListenAddress } from '../../cli/listen.ts';
import { table } from '../../cli/table.ts';
import type { Identity } from '../../sdk/identity/identity.ts';
import type { Verifier } from '../../sdk/verifier/verifier.ts';
import { parseSpiffeId } from '../../spiffe-id/spiffe-id.ts';
import { EVIDENCE_EXAMPLES } from './daemon-examples.ts';

const SOCKET: Flag = {
  name: 'socket',
  value: 'path',
  summary: 'where workloads connect; default /run/writ-agent/api.sock, below XDG_RUNTIME_DIR for ordinary users',
  environment: 'SPIFFE_ENDPOINT_SOCKET',
};
const ADMIN: Flag = {
  name: 'admin-socket',
  value: 'path',
  summary: 'where "writ agent why" asks; default: the same name in the directory beside, with -admin behind its name',
};

/** `writ agent run` and `writ agent why`: identities for the workloads of this machine. */
export function daemonCommands(withApi: WithApi): readonly Command[] {
  return [runCommand(withApi), whyCommand()];
}

function runCommand(withApi: WithApi): Command {
  return {
    path: 'agent run',
    summary: 'Serve identities to the workloads of this machine (SPIFFE Workload API)',
    details:
      'Runs until it is interrupted. The machine is an instance of a service; who gets which identity, the registration entries say that name this service: docs/WORKLOAD-API.md. It is let in once, by a join token or by what an attestor vouches for (docs/ATTESTATION.md); for the latter --server and --root, or WRIT_SERVER and WRIT_ROOT in the environment, say which authority it is. Keys of workloads are in memory alone; that of the machine, too, unless --store names a directory, with which a restart needs neither token nor evidence.',
    flags: [
      {
        name: 'service',
        value: 'name',
        summary: 'service of which this machine is an instance; an operator lets it in, or what --attestor is shown',
      },
      ...SOURCE.filter(({ name }) => name === 'token-file'),
      ...ATTESTOR_FLAGS,
      { name: 'store', value: 'directory', summary: 'keep the identity of the machine there across restarts' },
      SOCKET,
      { name: 'socket-mode', value: 'octal', summary: 'who may connect', default: '0777' },
      ADMIN,
      {
        name: 'feed-listen',
        value: 'address',
        summary: 'relay the feed of stops to programs of this machine, over TLS',
      },
      {
        name: 'feed-allow',
        value: 'rule',
        summary:
          'with --feed-listen: who may read it there, like agent/planner/*; default everybody of the trust domain',
        many: true,
      },
      {
        name: 'token-rate',
        value: 'number',
        summary: 'tokens a second that one workload may have fetched, ten times as many at once',
        default: '20',
      },
      { name: 'docker-socket', value: 'path', summary: 'ask Docker which image a container runs' },
      { name: 'kubelet', value: 'https://…', summary: 'ask the kubelet which pod a container is of' },
      { name: 'kubelet-token-file', value: 'file', summary: 'with --kubelet: token of a service account' },
      { name: 'kubelet-ca-file', value: 'file', summary: 'with --kubelet: whom its certificate leads to (PEM)' },
      ...CONNECTION_FLAGS,
    ],
    examples: [
      {
        line: 'writ agent run --token-file token --store /var/lib/writ-agent',
        does: 'lets this machine in once, and serves its workloads from then on',
      },
      ...EVIDENCE_EXAMPLES,
    ],
    async run(input, terminal) {
      const { Daemon: Serving } = await import('../../agent/daemon.ts');
      const sockets = {
        socket: socketOf(input),
        admin: adminOf(input),
        socketMode: modeOf(input.flag('socket-mode')!),
      };
      const tokenRate = rateOf(input);
      // A token that lets one machine in is not spent where the daemon cannot be.
      await Serving.prepare(sockets);
      const { identity, stay } = await keptIdentity(input, withApi, ['service']);
      const asked = Promise.withResolvers<void>();
      const closing: (() => unknown)[] = [
        () => (stay ? identity.close() : identity.stop('task_completed').catch(() => identity.close())),
        onceAskedToStop(() => asked.resolve()),
      ];
      try {
        requireService(identity);
        const [kubelet, docker] = [input.flag('kubelet'), input.flag('docker-socket')];
        const daemon = await Serving.start({
          ...{ identity, ...sockets, tokenRate },
          ...(docker === undefined ? {} : { docker }),
          ...(kubelet === undefined
            ? {}
            : {
                kubelet: {
                  url: kubelet,
                  tokenFile: input.flag('kubelet-token-file'),
                  caFile: input.flag('kubelet-ca-file'),
                },
              }),
        });
        closing.unshift(() => daemon.close());
        const feed = await relayFeed(daemon.verifier, input);
        if (feed !== undefined) closing.unshift(() => closeServer(feed.server));
        daemon.on('said', (text) => terminal.say(text));
        identity.on('failed', (error) => terminal.say(`renewal failed, will be tried again: ${error.message}`));
        // Before anybody hears that it runs, and may end it.
        const end = untilEnd(identity, daemon, asked.promise);
        terminal.line(
          {
            socket: `unix://${sockets.socket}`,
            spiffe_id: identity.spiffeId,
            ...(feed === undefined ? {} : { feed: feed.url }),
          },
          `Serving unix://${sockets.socket} as ${identity.spiffeId}${feed === undefined ? '' : `, and the feed at ${feed.url}`}`,
        );
        await end;
        return EXIT.ok;
      } finally {
        for (const close of closing) await close();
      }
    },
  };
}

/** A token, an attestor or a store may have let it in as an agent, to which the server tells nothing of entries. */
function requireService({ spiffeId }: Identity): void {
  const [kind, name] = parseSpiffeId(spiffeId).segments;
  if (kind === 'service') return;
  throw new WritError('bad_config', `A machine is an instance of a service, and this is one of the ${kind} ${name}`, {
    remedy: 'Register the machine ("writ service register NAME"), and let it in as that: "writ token create NAME".',
  });
}

/** The feed for programs that do not reach the authority, as `writ feed relay` serves it. */
async function relayFeed(
  verifier: Verifier,
  input: Input,
): Promise<{ readonly server: Server; readonly url: string } | undefined> {
  const [at, allow] = [input.flag('feed-listen'), input.flags('feed-allow')];
  if (at === undefined) return undefined;
  const address = parseListenAddress(at, '--feed-listen');
  const server = createServer(verifier.serverOptions());
  // What was stopped is no secret among those who have a certificate.
  verifier.relay(server, { allow: allow.length === 0 ? () => true : allow });
  await listenAt(server, address);
  const { address: host, port } = server.address() as AddressInfo;
  return { server, url: `https://${host.includes(':') ? `[${host}]` : host}:${port}` };
}

/** Resolves when the program is to end; rejects when this machine was stopped. */
function untilEnd(identity: Identity, daemon: Daemon, asked: Promise<void>): Promise<void> {
  const { serial } = identity.credential;
  return new Promise((resolve, reject) => {
    const stopped = (cause?: Error): void =>
      reject(
        new WritError('revoked', 'This machine has no identity any more, so its workloads have none', {
          remedy: `See why with "writ trace ${serial}", and let it in again as a new instance.`,
          cause,
        }),
      );
    identity.on('ended', stopped);
    daemon.on('stopped', stopped);
    void asked.then(resolve);
  });
}

function whyCommand(): Command {
  return {
    path: 'agent why',
    summary: 'Say what "writ agent run" sees of a process, which entries it tried, and what did not match',
    details: 'For root and the user of the daemon, on its machine.',
    parameters: [{ name: 'pid', summary: 'id of the process', required: true }],
    flags: [SOCKET, ADMIN],
    examples: [{ line: 'writ agent why 4711', does: 'says why process 4711 has the identities that it has, or none' }],
    async run(input, terminal) {
      const pid = input.parameters['pid']!;
      if (!/^[1-9]\d{0,9}$/.test(pid)) {
        throw new WritError('bad_request', 'That is no id of a process', { field: 'pid', remedy: 'Give a number.' });
      }
      const why = await ask<Why>(adminOf(input), `/why/${pid}`);
      terminal.result(why, textOfWhy(why, terminal.colour));
      return why.entries.some(({ spiffe_id, missing }) => spiffe_id !== undefined || missing.length === 0)
        ? EXIT.ok
        : EXIT.findings;
    },
  };
}

function textOfWhy({ process, facts, notes, entries, more }: Why, colour: boolean): string {
  const seen = Object.entries(facts).flatMap(([name, values]) => values.map((value) => [name, value]));
  const tried = entries.map(({ id, as, missing, spiffe_id, refused }) => [
    id,
    as,
    missing.length > 0 ? 'no' : 'yes',
    missing.length > 0 ? `not: ${missing.join(', ')}` : (refused ?? spiffe_id ?? 'gets an identity when it calls'),
  ]);
  return [
    process,
    '',
    table(['fact', 'value'], seen, { empty: 'Nothing was seen.', colour }),
    ...notes.map((note) => `  ${note}`),
    '',
    table(['entry', 'as', 'matches', ''], tried, { empty: 'No entry names this machine’s service.', colour }),
    ...(more > 0 ? [`and ${more} more that do not match`] : []),
  ].join('\n');
}

function ask<T>(socketPath: string, path: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const unreachable = (cause?: unknown): void => {
      reject(
        new WritError('unavailable', `No daemon answers you at ${socketPath}`, {
          remedy:
            'Ask as root or as the user of the daemon. Where "writ agent run" serves another socket, say which with --socket, as it was told.',
          cause,
        }),
      );
    };
    const sent = request({ socketPath, path, timeout: 15_000 }, (answer) => {
      const pieces: Buffer[] = [];
      answer.on('data', (piece: Buffer) => pieces.push(piece));
      answer.on('error', unreachable);
      answer.on('end', () => {
        const body = JSON.parse(Buffer.concat(pieces).toString('utf8')) as T & { message?: string; remedy?: string };
        if (answer.statusCode === 200) resolve(body);
        else {
          const code = answer.statusCode === 404 ? 'not_found' : 'internal';
          reject(
            new WritError(
              code,
              body.message ?? 'The daemon failed.',
              body.remedy === undefined ? {} : { remedy: body.remedy },
            ),
          );
        }
      });
    });
    sent.on('timeout', () => sent.destroy());
    sent.on('error', unreachable);
    sent.end();
  });
}

/** A path, or `unix:///path` as the standard has it (SPIFFE Workload Endpoint §4). */
function socketOf(input: Input): string {
  const given = input.flag('socket');
  if (given === undefined) {
    const runtime = process.env['XDG_RUNTIME_DIR'];
    const below = process.geteuid?.() === 0 || runtime === undefined ? '/run' : runtime;
    return join(below, 'writ-agent', 'api.sock');
  }
  const path = given.startsWith('unix:') ? given.replace(/^unix:(?:\/\/)?/, '') : given;
  if (path.startsWith('/')) return path;
  throw new WritError('bad_request', 'The socket is not given by an absolute path', {
    field: '--socket',
    remedy: 'Give it like unix:///run/writ-agent/api.sock.',
  });
}

function adminOf(input: Input): string {
  const given = input.flag('admin-socket');
  if (given !== undefined) return given;
  const socket = socketOf(input);
  return join(`${dirname(socket)}-admin`, socket.slice(dirname(socket).length + 1));
}

function rateOf(input: Input): number {
  const text = input.flag('token-rate')!;
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
  throw new WritError('bad_request', 'That is no number of tokens', {
    field: '--token-rate',
    remedy: 'Give a whole number from 1 to 999999.',
  });
}

function modeOf(text: string): number {
  const mode = /^0?[0-7]{3}$/.test(text) ? Number.parseInt(text, 8) : undefined;
  if (mode !== undefined) return mode;
  throw new WritError('bad_request', 'That is no mode of a socket', {
    field: '--socket-mode',
    remedy: 'Give three octal digits, like 0770.',
  });
}
