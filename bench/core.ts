import { generateKeyPairSync, sign, verify } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import type { CommitBatch } from '../src/db/batch.ts';
import { renewCertificate } from '../src/issuance/renew.ts';
import { type Member, newRequest } from './fleet.ts';
import type { Installation } from './installation.ts';
import { median } from './statistics.ts';

/** Certificates in one block, blocks that are measured, certificates before the first: the compiler needs its time. */
const BLOCK = 500;
const BLOCKS = 10;
const WARM = 8000;

/**
 * The issuing core in one thread: CSR in, certificate out, with strict parsing, proof of possession, policy, lints and
 * signature, as a renewal; the commit answers at once. Against one P-256 verification and one signature of `node:crypto`,
 * block by block in turn, in processor time of this thread.
 */
export async function measureCore(
  installation: Installation,
  fleet: readonly Member[],
): Promise<Record<string, number>> {
  let leaf = 0;
  const commit: CommitBatch = async () => ({ committed: true, firstLeaf: leaf++ });
  const parts = { ...installation.parts.issuance, commit };
  const requests = await Promise.all(Array.from({ length: BLOCK }, async () => (await newRequest()).csr));
  const issue = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      // The epoch is polled between: without a turn for it, standing is unknown after five seconds and all is denied.
      if (i % BLOCK === 0) await turn();
      await renewCertificate(fleet[i % fleet.length]!.caller, { csr: requests[i % BLOCK]! }, parts);
    }
  };
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const message = Buffer.alloc(400, 7);
  const signature = sign('sha256', message, privateKey);
  const cryptography = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      verify('sha256', message, publicKey, signature);
      sign('sha256', message, privateKey);
    }
  };
  await issue(WARM);
  await cryptography(BLOCK);
  const [core, bare]: [number[], number[]] = [[], []];
  for (let block = 0; block < BLOCKS; block++) {
    core.push(await processorTimeOf(() => issue(BLOCK)));
    bare.push(await processorTimeOf(() => cryptography(BLOCK)));
  }
  const [core_us, crypto_us] = [median(core) / BLOCK, median(bare) / BLOCK];
  return {
    issuance_core_ratio: core_us / crypto_us,
    issuance_core_us: core_us,
    issuance_core_crypto_us: crypto_us,
  };
}

/** Microseconds that this thread computed. */
async function processorTimeOf(act: () => Promise<void>): Promise<number> {
  const before = process.threadCpuUsage();
  await act();
  const { user, system } = process.threadCpuUsage(before);
  return user + system;
}
