import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { WritError } from '../../base/error.ts';
import type { Identity } from '../../sdk/identity/identity.ts';
import { createVerifier, type Verifier } from '../../sdk/verifier/verifier.ts';
import type { WithApi } from '../api.ts';
import { onceAskedToStop } from '../asked-to-stop.ts';
import { type Command, EXIT } from '../command.ts';
import { closeServer, listenAt, parseListenAddress } from '../listen.ts';
import { keptIdentity, SOURCE } from './run.ts';

/** `writ feed …`: the revocation feed, beside programs that do not reach the authority. */
export function feedCommands(withApi: WithApi): readonly Command[] {
  return [relayCommand(withApi)];
}

function relayCommand(withApi: WithApi): Command {
  return {
    path: 'feed relay',
    summary: 'Serve the revocation feed on to programs that do not reach the authority',
    details:
      'Runs until it is interrupted. Programs behind it name its address and its SPIFFE ID to their verifier, and believe only what the authority has signed: docs/FEED.md.',
    flags: [
      ...SOURCE,
      { name: 'store', value: 'directory', summary: 'keep the identity of the relay there across restarts' },
      { name: 'listen', value: 'address', summary: 'where programs reach it', default: '127.0.0.1:9443' },
      {
        name: 'allow',
        value: 'rule',
        summary: 'who may read from it, like agent/planner/*',
        required: true,
        many: true,
      },
      {
        name: 'from',
        value: 'https://…',
        summary: 'another relay to read from; several are tried in turn',
        many: true,
      },
      { name: 'relays', value: 'rule', summary: 'with --from: who may be one, like service/gateway/*', many: true },
      { name: 'point', value: 'name', summary: 'its name as an enforcement point in the records' },
    ],
    examples: [
      {
        line: 'writ feed relay --service gateway --listen 0.0.0.0:9443 --allow agent/planner/*',
        does: 'every instance of planner can follow the feed through this machine',
      },
    ],
    async run(input, terminal) {
      const at = parseListenAddress(input.flag('listen')!, '--listen');
      const { identity, stay } = await keptIdentity(input, withApi);
      const asked = Promise.withResolvers<void>();
      const closing: (() => unknown)[] = [
        () => (stay ? identity.close() : end(identity)),
        onceAskedToStop(() => asked.resolve()),
      ];
      try {
        const [from, relays] = [input.flags('from'), input.flags('relays')];
        const verifier = createVerifier({
          ...{ identity, mode: 'available', point: input.flag('point') },
          ...(from.length === 0 ? {} : { feed: from, relays: relays.length === 0 ? undefined : relays }),
        });
        closing.unshift(() => verifier.close());
        verifier.on('well', () => terminal.say('The feed is followed.'));
        verifier.on('alarm', ({ age, cause }) => {
          terminal.say(
            `The feed is ${Math.round(age / 1000)} s old, and is passed on as that: ${cause?.message ?? ''}`,
          );
        });
        const server = createServer(verifier.serverOptions());
        const ended = untilEnd(verifier, identity, { server, allow: input.flags('allow'), asked: asked.promise });
        await listenAt(server, at);
        closing.unshift(() => closeServer(server));
        const { address, port } = server.address() as AddressInfo;
        const url = `https://${address.includes(':') ? `[${address}]` : address}:${port}`;
        terminal.line({ url, spiffe_id: identity.spiffeId }, `Relaying on ${url} as ${identity.spiffeId}`);
        await ended;
        return EXIT.ok;
      } finally {
        for (const close of closing) await close();
      }
    },
  };
}

/** While the feed is too old it is asked this often whether the identity has ended; milliseconds. */
const ASK_MS = 5000;

/** Resolves when the program is to end; rejects when its own identity was stopped. */
function untilEnd(
  verifier: Verifier,
  identity: Identity,
  {
    server,
    allow,
    asked,
  }: { readonly server: Server; readonly allow: readonly string[]; readonly asked: Promise<void> },
): Promise<void> {
  const relay = verifier.relay(server, { allow });
  const { serial } = identity.credential;
  const ended = new Promise<void>((resolve, reject) => {
    const stopped = (): void =>
      reject(
        new WritError('revoked', 'This relay was stopped', {
          remedy: `See why with "writ trace ${serial}", and let it in again as a new instance.`,
        }),
      );
    relay.onClose(stopped);
    identity.on('ended', stopped);
    // What is held first and then stopped is cut off before it hears of its end: whoever asks for a renewal is told.
    const asking = setInterval(() => {
      if (!verifier.well) identity.renew().catch(() => undefined);
    }, ASK_MS);
    asking.unref();
    identity.on('ended', () => clearInterval(asking));
    void asked.then(resolve);
  });
  // Before anybody waits for it, too.
  ended.catch(() => undefined);
  return ended;
}

async function end(identity: { stop(cause: string): Promise<void>; close(): void }): Promise<void> {
  await identity.stop('task_completed').catch(() => identity.close());
}
