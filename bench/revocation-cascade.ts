import { join } from 'node:path';
import { createToken } from '../src/attest/token/create.ts';
import { attestJoinToken } from '../src/attest/token/join-token.ts';
import type { Caller } from '../src/base/access.ts';
import { systemClock } from '../src/base/clock.ts';
import { systemRandom } from '../src/base/random.ts';
import { makeSerial } from '../src/ca/certificate/serial.ts';
import { pushRevoked } from '../src/ca/crl/revoked.ts';
import { cordParts } from '../src/cmd/server/cord-operations.ts';
import { newBatch } from '../src/db/batch.ts';
import { enrol } from '../src/issuance/enrol.ts';
import { createLookup } from '../src/registry/lookup.ts';
import type { CordParts } from '../src/revocation/parts.ts';
import { revokeCertificate } from '../src/revocation/revoke.ts';
import { stopForEver } from '../src/revocation/stop.ts';
import { parseJoinToken } from '../src/wire/join-token.ts';
import { ADMINISTRATOR, callerOf, type Member, makeFleet, newRequest } from './fleet.ts';
import { type Installation, makeInstallation, openInstallation } from './installation.ts';
import { copyInstallation } from './stage.ts';
import { median } from './statistics.ts';

const INSTANCES = 1000;
/** Revocations that are timed in each store, and before them those that bring the compiler to rest. */
const TIMED = 200;
const WARM = 100;
/** Revocations that one of the stores has had before. */
const REVOKED = 100_000;
const NEWCOMER: Caller = { kind: 'anonymous', id: 'anonymous' };

/**
 * `cascade_1000_ms`: from the call that stops an instance with all below it, 1 000 in all on three levels, to its answer:
 * every instance stopped, every certificate revoked and on the lists, all of it durable. `cascade_1000_effect_ms`: to the
 * commit from which on none of them is accepted any more. `revoke_growth_ratio`: the processor time of a revocation with
 * 100 000 revoked before it, over that of one of the first, in turn in two stores that have nothing else different: the
 * disk is as busy as others make it, and the compiler gets better.
 */
export async function measureCascade(
  directory: string,
  { progress }: { readonly progress: (text: string) => void },
): Promise<Record<string, number>> {
  const data = join(directory, 'cascade', 'writ-data');
  await makeInstallation(data, systemClock);
  const young = await openInstallation(data, systemClock);
  progress('letting in a family of a thousand');
  const [top, ...others] = await makeFleet(young, 1, 1 + WARM + TIMED);
  await haveChildren(young, top!);
  const cascade = await timeCascade(young, top!);
  await young.close();

  await using stores = new AsyncDisposableStack();
  const copy = copyInstallation(data, join(directory, 'revoked'));
  const [small, large] = [await openInstallation(data, systemClock), await openInstallation(copy, systemClock)];
  for (const store of [small, large]) stores.defer(() => store.close());
  progress(`revoking ${REVOKED}`);
  await fill(large);
  const samples = { small: [] as Sample[], large: [] as Sample[] };
  const cords = { small: cordParts(small.parts), large: cordParts(large.parts) };
  for (const member of others) {
    samples.small.push(await timeRevocation(cords.small, member));
    samples.large.push(await timeRevocation(cords.large, member));
  }
  const timed = (of: readonly Sample[], what: keyof Sample): number =>
    median(of.slice(WARM).map((sample) => sample[what]));
  return {
    ...cascade,
    revoke_ms: timed(samples.small, 'ms'),
    revoke_growth_ratio: timed(samples.large, 'processor') / timed(samples.small, 'processor'),
  };
}

/** Ten children, and below each of them what is left of the thousand: half of it its children, half one level deeper. */
async function haveChildren(installation: Installation, top: Member): Promise<void> {
  const level: Caller[] = await letIn(installation, top.caller, 10);
  let left = INSTANCES - 1 - level.length;
  for (const [index, child] of level.entries()) {
    const own = Math.ceil(left / (level.length - index));
    const below = await letIn(installation, child, Math.ceil(own / 2));
    await letIn(installation, below[0]!, own - below.length);
    left -= own;
  }
}

async function letIn({ parts }: Installation, by: Caller, count: number): Promise<Caller[]> {
  const { reader, commit, clock, random, policy, issuance } = parts;
  const registered = createLookup(reader);
  const server = { address: 'localhost:8443', rootFingerprint: new Uint8Array(32) };
  const tokens = { reader, authorize: policy.authorize, commit, clock, random, registered, server };
  const children: Caller[] = [];
  while (children.length < count) {
    const uses = Math.min(10, count - children.length);
    const token = parseJoinToken((await createToken(by, { agent: by.agent!, uses }, tokens)).text);
    const issued = await Promise.all(
      Array.from({ length: uses }, async () => {
        const evidence = await attestJoinToken(token, { reader, clock, instances: registered });
        return enrol(NEWCOMER, { evidence, csr: (await newRequest()).csr }, issuance);
      }),
    );
    children.push(...issued.map(callerOf));
  }
  return children;
}

async function timeCascade({ parts }: Installation, top: Member): Promise<Record<string, number>> {
  const cord = cordParts(parts);
  let effect: number | undefined;
  const begun = performance.now();
  const stop = await stopForEver(
    ADMINISTRATOR,
    { target: { kind: 'parent', name: top.issued.instance! }, cause: 'session_replay' },
    {
      ...cord,
      async commit(batch) {
        const outcome = await cord.commit(batch);
        effect ??= performance.now() - begun;
        return outcome;
      },
    },
  );
  const took = performance.now() - begun;
  if (stop.state !== 'revoked') throw new Error(`the cascade ended as ${stop.state}`);
  return { cascade_1000_ms: took, cascade_1000_effect_ms: effect! };
}

interface Sample {
  readonly ms: number;
  /** Microseconds. */
  readonly processor: number;
}

async function timeRevocation(cord: CordParts, { issued }: Member): Promise<Sample> {
  const [begun, before] = [performance.now(), process.cpuUsage()];
  await revokeCertificate(ADMINISTRATOR, { serial: issued.serial, cause: 'key_theft' }, cord);
  const { user, system } = process.cpuUsage(before);
  return { ms: performance.now() - begun, processor: user + system };
}

/** Revocations of certificates that are not here, as the commit of a revocation enters them. */
async function fill({ parts }: Installation): Promise<void> {
  const { commit, issuance } = parts;
  const random = systemRandom();
  const issuer = issuance.authority.issuer().id;
  for (let done = 0; done < REVOKED; ) {
    const batch = newBatch();
    for (let i = 0; i < 1000; i++, done++) {
      const at = systemClock.now();
      const serial = makeSerial(at, 3_600_000, random);
      pushRevoked(batch, { serial, issuer, expiresAt: at + 3_600_000 }, { at, reason: 1 });
    }
    await commit(batch);
  }
}
