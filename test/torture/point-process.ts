/**
 * A relying party in a process of its own, for killing: a server written with the client library, whose verifier follows
 * the feed. Says where it listens, and then, whenever it is asked, what it knows.
 */
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { connect } from '../../src/sdk/enrolment/connect.ts';
import { createVerifier } from '../../src/sdk/verifier/verifier.ts';
import type { PointSettings, PointState } from './point.ts';

const { store, mode, strictMs } = JSON.parse(process.argv[2]!) as PointSettings;
process.on('disconnect', () => process.exit());

const identity = await connect({ store });
const verifier = createVerifier({ identity, mode, strictMs, point: mode });
const entries: number[] = [];
let [alarms, last, wentBack] = [0, 0, 0];
let cause: string | undefined;
verifier.on('alarm', (alarm) => {
  alarms++;
  cause = alarm.cause?.message;
});
verifier.on('entry', ({ position }) => {
  entries.push(position);
  if (position <= last) wentBack++;
  last = position;
});

// Whom it serves is for the feed to say.
const allow = (): boolean => true;
const server = createServer(
  verifier.serverOptions(),
  verifier.guard((_, response) => response.end('served'), { allow }),
);
// Connections stay until somebody closes them for a reason.
server.keepAliveTimeout = 0;
verifier.protect(server, { allow });
await once(server.listen(0, '127.0.0.1'), 'listening');

process.on('message', () => {
  const { age, well } = verifier;
  const state: PointState = { age, well, alarms, cause, wentBack, entries: entries.splice(0) };
  // Infinity is no JSON.
  process.send!({ ...state, age: Math.min(age, Number.MAX_SAFE_INTEGER) });
});
process.send!((server.address() as AddressInfo).port);
