/** A thread of `fill.ts`: renews for its part of the fleet until nothing is left to do. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import type { Caller } from '../src/base/access.ts';
import { silentLog } from '../src/base/log.ts';
import { systemRandom } from '../src/base/random.ts';
import { readHierarchy } from '../src/ca/hierarchy.ts';
import { readConfig } from '../src/cmd/config/config.ts';
import { dataDirectory } from '../src/cmd/data-directory.ts';
import { openEngine } from '../src/cmd/engine.ts';
import { threadParts } from '../src/cmd/server/thread-parts.ts';
import { statusUrlOf } from '../src/cmd/status-url.ts';
import type { IssuedCertificate } from '../src/issuance/issued.ts';
import { renewCertificate } from '../src/issuance/renew.ts';
import type { Keyring } from '../src/keys/keyring.ts';
import { epochCell } from '../src/ledger/epoch.ts';
import { commitClient } from '../src/ledger/port.ts';
import { callerOf } from './fleet.ts';
import { inFlight } from './in-flight.ts';
import { sharedClock } from './shared-clock.ts';

export interface FillData {
  readonly data: string;
  readonly keyring: Keyring;
  readonly epochMemory: SharedArrayBuffer;
  readonly clockMemory: SharedArrayBuffer;
  readonly commitPort: MessagePort;
  readonly callers: readonly Caller[];
  readonly requests: readonly Uint8Array[];
  /** Renewals that no thread has taken yet: an `Int32Array` of one. */
  readonly left: SharedArrayBuffer;
  readonly stepMs: number;
}

export type FromFiller =
  | { readonly done: number }
  /** What each caller got last. */
  | { readonly latest: readonly (IssuedCertificate | undefined)[] };

/** Renewals that a thread has under way. */
const WIDTH = 128;
const TOLD_EVERY = 10_000;

const { data, keyring, epochMemory, clockMemory, commitPort, requests, stepMs, ...given } = workerData as FillData;
const tell = (message: FromFiller): void => parentPort!.postMessage(message);

const directory = dataDirectory(data);
const config = readConfig(directory.config);
const reader = await openEngine(config, directory, { readOnly: true });
const [clock, epoch, random] = [sharedClock(clockMemory), epochCell(epochMemory), systemRandom()];
const client = commitClient(commitPort, { clock, random });
const hierarchy = (await readHierarchy(reader))!;
const { names } = config;
const statusUrl = statusUrlOf(config);
const means = {
  reader,
  commit: client.commit,
  keyring,
  hierarchy,
  names,
  statusUrl,
  epoch,
  clock,
  random,
  log: silentLog,
};
const { issuance, policy } = await threadParts(means);

const callers = [...given.callers];
const latest: (IssuedCertificate | undefined)[] = callers.map(() => undefined);
const left = new Int32Array(given.left);
let done = 0;
await inFlight(Number.POSITIVE_INFINITY, renew, WIDTH);
tell({ latest });
await client.close();
policy.close();
await reader.close();

async function renew(turn: number): Promise<boolean> {
  if (Atomics.sub(left, 0, 1) <= 0) return false;
  const i = turn % callers.length;
  clock.advance(stepMs);
  // A process that works polls the epoch five times a second; the clock here runs ahead of that.
  epoch.publish(epoch.current(), clock.now());
  const csr = requests[i % requests.length]!;
  latest[i] = await renewCertificate(callers[i]!, { csr }, issuance);
  callers[i] = callerOf(latest[i]!);
  if (++done % TOLD_EVERY === 0) tell({ done: TOLD_EVERY });
  return true;
}
