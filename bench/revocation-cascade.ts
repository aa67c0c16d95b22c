import { join } from 'node:path';
import { createToken } from '../src/attest/token/create.ts';
import { attestJoinToken } from '../src/attest/token/join-token.ts';
import type { Caller } from '../src/base/access.ts';
import { systemClock } from '../src/base/clock.ts';
import { systemRandom } from '../src/base/random.ts';
import { pushRevoked } from '../src/ca/revoked.ts';
import { makeSerial } from '../src/ca/serial.ts';
import { cordParts } from '../src/cmd/server/cord-operations.ts';
import { newBatch } from '../src/db/batch.ts';
import { enrol } from '../src/issuance/enrol.ts';
import { createLookup } from '../src/registry/lookup.ts';
import { revokeCertificate } from '../src/revocation/revoke.ts';
import { stopForEver } from '../src/revocation/stop.ts';
import { parseJoinToken } from '../src/wire/join-token.ts';
import { ADMINISTRATOR, callerOf, type Member, makeFleet, newRequest } from './fleet.ts';
import { type Installation, makeInstallation, openInstallation } from './installation.ts';
import { median } from './statistics.ts';

const INSTANCES = 1000;
/** Revocations that are timed at either end, and before them those that bring the compiler to rest. */
const TIMED = 100;
const WARM = 100;
/** Revocations in between. */
const REVOKED = 100_000;
const NEWCOMER: Caller = { kind: 'anonymous', id: 'anonymous' };

/**
 * `cascade_1000_ms`: from the call that stops an instance with all below it, 1 000 in all on three levels, to its answer:
 * every instance stopped, every certificate revoked and on the lists, all of it durable. `cascade_1000_effect_ms`: to the
 * commit from which on none of them is accepted any more. `revoke_growth_ratio`: the processor time of a revocation with
 * 100 000 revoked before it, over that of the first hundred: the disk is as busy as others make it.
 */
export async function measureCascade(
  directory: string,
  { progress }: { readonly progress: (text: string) => void },
): Promise<Record<string, number>> {
  const data = join(directory, 'cascade', 'writ-data');
  await makeInstallation(data, systemClock);
  const installation = await openInstallation(data, systemClock);
  try {
    progress('letting in a family of a thousand');
    const [top, ...others] = await makeFleet(installation, 1, 1 + WARM + 2 * TIMED);
    await haveChildren(installation, top!);
    const cascade = await timeCascade(installation, top!);
    progress(`revoking ${REVOKED}`);
    await timeRevocations(installation, others.slice(0, WARM));
    const first = await timeRevocations(installation, others.slice(WARM, WARM + TIMED));
    await fill(installation);
    const last = await timeRevocations(installation, others.slice(WARM + TIMED));
    return { ...cascade, revoke_ms: first.median, revoke_growth_ratio: last.processor / first.processor };
  } finally {
    await installation.close();
  }
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

async function timeRevocations(
  { parts }: Installation,
  members: readonly Member[],
): Promise<{ readonly median: number; readonly processor: number }> {
  const cord = cordParts(parts);
  const times: number[] = [];
  const before = process.cpuUsage();
  for (const { issued } of members) {
    const begun = performance.now();
    await revokeCertificate(ADMINISTRATOR, { serial: issued.serial, cause: 'key_theft' }, cord);
    times.push(performance.now() - begun);
  }
  const { user, system } = process.cpuUsage(before);
  return { median: median(times), processor: (user + system) / members.length };
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
