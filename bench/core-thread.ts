/**
 * The issuing core in one thread: CSR in, certificate out, with strict parsing, proof of possession, policy, lints and
 * signature, as a renewal; the commit answers at once. Against one P-256 verification and one signature of `node:crypto`,
 * block by block in turn, in processor time of this thread.
 */
import { generateKeyPairSync, sign, verify } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { systemClock } from '../src/base/clock.ts';
import { THREAD_LIMITS } from '../src/cmd/server/threads.ts';
import type { CommitBatch } from '../src/db/batch.ts';
import { renewCertificate } from '../src/issuance/renew.ts';
import { makeFleet, newRequest } from './fleet.ts';
import { makeInstallation, openInstallation } from './installation.ts';
import { median } from './statistics.ts';

/** Certificates in one block, blocks that are measured, certificates before the first: the compiler needs its time. */
const BLOCK = 1000;
const BLOCKS = 15;
const WARM = 12_000;
/** A request that is waited for lets others have their turn; here that is the poll of the epoch. */
const TURN_EVERY = 100;

const [, , directory, agents] = process.argv;

if (isMainThread) {
  const options = { argv: process.argv.slice(2), resourceLimits: THREAD_LIMITS };
  const thread = new Worker(new URL(import.meta.url), options);
  const [figures] = (await once(thread, 'message')) as [Record<string, number>];
  process.stdout.write(`${JSON.stringify(figures)}\n`);
} else {
  parentPort!.postMessage(await measure());
}

async function measure(): Promise<Record<string, number>> {
  const data = join(directory!, 'writ-data');
  await makeInstallation(data, systemClock);
  const installation = await openInstallation(data, systemClock);
  const fleet = await makeFleet(installation, Number(agents), 1);
  const requests = await Promise.all(Array.from({ length: BLOCK }, async () => (await newRequest()).csr));

  let leaf = 0;
  const commit: CommitBatch = async () => ({ committed: true, firstLeaf: leaf++ });
  const parts = { ...installation.parts.issuance, commit };

  async function core(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      if (i % TURN_EVERY === 0) await turn();
      await renewCertificate(fleet[i % fleet.length]!.caller, { csr: requests[i % BLOCK]! }, parts);
    }
  }

  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const message = Buffer.alloc(400, 7);
  const signature = sign('sha256', message, privateKey);

  async function cryptography(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      if (i % TURN_EVERY === 0) await turn();
      verify('sha256', message, publicKey, signature);
      sign('sha256', message, privateKey);
    }
  }

  await core(WARM);
  await cryptography(BLOCK);
  const [whole, bare]: [number[], number[]] = [[], []];
  for (let block = 0; block < BLOCKS; block++) {
    whole.push(await processorTimeOf(() => core(BLOCK)));
    bare.push(await processorTimeOf(() => cryptography(BLOCK)));
  }
  await installation.close();
  return {
    // Blocks that follow each other meet the same machine, whatever else it does.
    issuance_core_ratio: median(whole.map((us, block) => us / bare[block]!)),
    issuance_core_us: median(whole) / BLOCK,
    issuance_core_crypto_us: median(bare) / BLOCK,
  };
}

/** Microseconds that this thread computed. */
async function processorTimeOf(act: () => Promise<void>): Promise<number> {
  const before = process.threadCpuUsage();
  await act();
  const { user, system } = process.threadCpuUsage(before);
  return user + system;
}
