/** A transmitter with all its parts on a store, and receivers that listen on loopback. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { StoreParts } from '../../../test/stores.ts';
import type { Authorize, Caller } from '../../base/access.ts';
import { type ManualClock, manualClock } from '../../base/clock.ts';
import { silentLog } from '../../base/log.ts';
import { systemRandom } from '../../base/random.ts';
import { signJwt, tokenSignerOf } from '../../ca/jwt/sign.ts';
import { parseJwks, publicJwk, type VerificationKey } from '../../jwt/jwk.ts';
import { verifyJws } from '../../jwt/jws.ts';
import { generateKey } from '../../keys/generate.ts';
import { localSigner } from '../../keys/local.ts';
import { secretBox } from '../../keys/secret-box.ts';
import type { Stop } from '../ssf/events.ts';
import type { ManageParts } from '../ssf/manage.ts';
import type { PollParts } from '../ssf/poll.ts';
import { pusher } from '../ssf/push.ts';
import type { OutboundRules } from '../../http/outbound-address.ts';
import type { SetClaims } from '../ssf/queue.ts';
import { Transmitter, type TransmitterParts } from '../ssf/transmitter.ts';

export const ISSUER = 'https://writ.agents.example.com:8443';
export const START = 1_800_000_000_000;
export const ADA: Caller = { kind: 'operator', id: 'spiffe://agents.example.com/operator/ada', operator: 'ada' };
export const GATEWAY: Caller = {
  kind: 'service',
  id: 'spiffe://agents.example.com/service/gateway/01jd0000000000000000000000',
  agent: 'gateway',
  instance: '01jd0000000000000000000000',
};

export interface World {
  readonly clock: ManualClock;
  readonly manage: ManageParts;
  readonly polling: PollParts;
  readonly keys: readonly VerificationKey[];
  /** What happened; `stop` adds to it. */
  readonly stops: Stop[];
  stop(leaf: number, subject?: string, effect?: Stop['effect']): void;
  /** `change`: parts in place of its own. */
  transmitter(process?: string, change?: Partial<TransmitterParts>): Transmitter;
  /** One turn, and everything that it pushes. */
  turn(transmitter: Transmitter): Promise<void>;
  claimsOf(token: string): Readonly<Record<string, unknown>>;
}

export const RULES: OutboundRules = { allowHttp: true, allowNetworks: ['127.0.0.0/8'] };
const allow: Authorize = () => ({ allowed: true, rules: [], policyVersion: 1 });

export async function world({ database, commit }: StoreParts): Promise<World> {
  const clock = manualClock(START);
  const random = systemRandom();
  const signer = localSigner(await generateKey('ecdsa-p256'));
  const box = secretBox(await generateKey('ed25519'), random);
  const keys = parseJwks(Buffer.from(JSON.stringify({ keys: [publicJwk(signer.spki)] })), 'keys');
  const sign = (claims: SetClaims): Promise<string> => signJwt(tokenSignerOf(signer), { typ: 'secevent+jwt', claims });
  const common = { reader: database, commit };
  const stops: Stop[] = [];
  return {
    clock,
    keys,
    stops,
    manage: { ...common, authorize: allow, clock, random, issuer: () => ISSUER, prepare: async () => {}, box: async () => box, receivers: RULES },
    polling: { ...common, authorize: allow, clock, epoch: { current: () => 1 }, ending: new AbortController().signal, sign },
    stop(leaf, subject = 'instance:i', effect = 'stop') {
      const [kind] = subject.split(':');
      const type = `${kind === 'serial' ? 'certificate' : kind}.${effect === 'stop' ? 'stopped' : 'quarantined'}`;
      stops.push({ leaf, act: leaf, type, effect, at: clock.now(), subjects: [subject] });
    },
    transmitter(process = 'p1', change = {}) {
      const parts: TransmitterParts = {
        ...common,
        stops: async (after, limit) => stops.filter(({ leaf }) => leaf > after).slice(0, limit),
        names: async (subject) => ({
          spiffeId: `spiffe://agents.example.com/agent/planner/${subject.split(':')[1]}`,
          ...(subject.startsWith('serial:') ? { issuer: 'CN=issuing' } : {}),
        }),
        issuer: ISSUER,
        now: clock.now,
        process,
        sign,
        push: pusher({ ...RULES, timeout: 2000 }),
        box,
        log: silentLog,
        ...change,
      };
      return new Transmitter(parts);
    },
    async turn(transmitter) {
      await transmitter.turn();
      await transmitter.idle();
    },
    claimsOf(token) {
      const result = verifyJws(token, { keys, typ: 'secevent+jwt' });
      if (!result.ok) throw new Error(result.why);
      return result.claims;
    },
  };
}

export interface Receiver extends AsyncDisposable {
  readonly url: string;
  readonly tokens: string[];
  readonly headers: IncomingMessage['headers'][];
  /** Status and body of the next answers, the first first; then 202. */
  readonly answers: { status: number; body?: string; headers?: Record<string, string> }[];
  /** What is done before the next answers are given. */
  readonly before: (() => Promise<void>)[];
}

export async function receiver(): Promise<Receiver> {
  const tokens: string[] = [];
  const headers: IncomingMessage['headers'][] = [];
  const answers: Receiver['answers'] = [];
  const before: Receiver['before'] = [];
  const server: Server = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8');
    request.on('data', (chunk: string) => (text += chunk));
    request.on('end', () => {
      tokens.push(text);
      headers.push(request.headers);
      void (before.shift()?.() ?? Promise.resolve()).then(() => {
        const { status, body = '', headers: more = {} } = answers.shift() ?? { status: 202 };
        response.writeHead(status, more).end(body);
      });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/events`,
    tokens,
    headers,
    answers,
    before,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
