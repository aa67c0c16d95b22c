/**
 * One enforcement point in a process of its own: an HTTPS server with a verifier that reads the feed, and the client that
 * uses it with the credential that is about to be revoked.
 */
import { once } from 'node:events';
import { Agent, createServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { connect } from '../src/sdk/enrolment/connect.ts';
import { createVerifier, type Verifier } from '../src/sdk/verifier/verifier.ts';

export type PointCommand =
  /** Enrols with a token and opens the point. */
  | { readonly do: 'open'; readonly token: string }
  /** Uses it with this credential until it refuses. */
  | { readonly do: 'use'; readonly key: string; readonly chain: string; readonly serial: string };

export interface PointAnswer {
  readonly kind: 'opened' | 'using' | 'refused';
  /** When it took the entry over, or when it answered the last use where that is later: wall clock. */
  readonly at: number;
}

/** Between two uses. */
const EVERY_MS = 250;
/** A point that goes on for so long refuses never. */
const LONGEST_MS = 10_000;

interface Point {
  readonly verifier: Verifier;
  readonly port: number;
}

let point: Point | undefined;
let roots: readonly string[] = [];

const say = (kind: PointAnswer['kind'], at = 0): void => void process.send!({ kind, at });
/** Finer than `Date.now()`, and the same in all processes of a machine. */
const now = (): number => performance.timeOrigin + performance.now();

process.on('disconnect', () => process.exit());
process.on('message', (command: PointCommand) => {
  const done = command.do === 'open' ? open(command) : use(command);
  done.catch((error: Error) => {
    process.stderr.write(`${error.stack}\n`);
    process.exit(1);
  });
});

async function open({ token }: Extract<PointCommand, { do: 'open' }>): Promise<void> {
  const identity = await connect({ token });
  roots = identity.credential.roots;
  const verifier = createVerifier({ identity, mode: 'strict', point: `point-${process.pid}` });
  const server = createServer(
    verifier.serverOptions(),
    verifier.guard((_request, answer) => answer.end('yes')),
  );
  verifier.protect(server, { allow: () => true });
  server.on('tlsClientError', () => undefined);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  await verifier.ready();
  point = { verifier, port: (server.address() as AddressInfo).port };
  say('opened');
}

async function use({ key, chain, serial }: Extract<PointCommand, { do: 'use' }>): Promise<void> {
  const { verifier, port } = point!;
  const agent = new Agent({
    ...{ key, cert: chain, ca: [...roots], checkServerIdentity: () => undefined },
    ...{ keepAlive: true, maxSockets: 1, maxCachedSessions: 0 },
  });
  const taken = new Promise<number>((resolve) => {
    verifier.on('entry', function told({ subjects }) {
      if (!subjects.includes(`serial:${serial}`)) return;
      verifier.off('entry', told);
      resolve(now());
    });
  });
  let last = 0;
  const begun = now();
  await pause(Math.random() * EVERY_MS);
  while (await isAnswered(port, agent)) {
    if (last === 0) say('using');
    last = now();
    if (last - begun > LONGEST_MS) throw new Error('the point goes on answering');
    await pause(EVERY_MS);
  }
  agent.destroy();
  say('refused', Math.max(last, await taken));
}

function isAnswered(port: number, agent: Agent): Promise<boolean> {
  return new Promise((resolve) => {
    const sent = request({ port, host: '127.0.0.1', agent }, (answer) => {
      answer.resume().on('end', () => resolve(answer.statusCode === 200));
      answer.on('error', () => resolve(false));
    });
    sent.on('error', () => resolve(false));
    sent.end();
  });
}
