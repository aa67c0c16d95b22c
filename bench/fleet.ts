import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { createToken } from '../src/attest/token/create.ts';
import { attestJoinToken } from '../src/attest/token/join-token.ts';
import type { Caller } from '../src/base/access.ts';
import { enrol } from '../src/issuance/enrol.ts';
import type { IssuedCertificate } from '../src/issuance/issued.ts';
import { createLookup } from '../src/registry/lookup.ts';
import { registerAgent } from '../src/registry/register.ts';
import { parseJoinToken } from '../src/wire/join-token.ts';
import { encodeCsr } from '../src/x509/csr.ts';
import { inFlight } from './in-flight.ts';
import type { Installation } from './installation.ts';

/** Runs everything that an operator does; as whoever sits at the server's machine, no operator has to be made for it. */
export const ADMINISTRATOR: Caller = { kind: 'system', id: 'system:bench' };
const NEWCOMER: Caller = { kind: 'anonymous', id: 'anonymous' };

/** One running copy of an agent, with what it needs to call. */
export interface Member {
  readonly agent: string;
  readonly key: KeyObject;
  readonly issued: IssuedCertificate;
  readonly caller: Caller;
}

/** A key pair of its own and a request for it. */
export async function newRequest(): Promise<{ readonly key: KeyObject; readonly csr: Uint8Array }> {
  const { privateKey: key, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const csr = await encodeCsr({
    spki: publicKey.export({ type: 'spki', format: 'der' }),
    algorithm: 'ecdsa-p256-sha256',
    sign: async (message) => sign('sha256', message, key),
  });
  return { key, csr };
}

/** Registers `agents` agents and lets `copies` instances of each in, each with a join token, through the flows. */
export async function makeFleet({ parts }: Installation, agents: number, copies: number): Promise<Member[]> {
  const { reader, commit, clock, random, policy, issuance } = parts;
  const { authorize } = policy;
  const registry = {
    reader,
    authorize,
    commit,
    clock,
    random,
    profileFits: async () => true,
    namesFit: async () => true,
  };
  const registered = createLookup(reader);
  const server = { address: 'localhost:8443', rootFingerprint: new Uint8Array(32) };
  const tokens = { reader, authorize, commit, clock, random, registered, server };
  const members: Member[] = [];
  await inFlight(agents, async (number) => {
    const name = `agent-${number}`;
    const owner = { team: `team-${number % 50}`, sponsor: 'sponsor@example.com' };
    await registerAgent(
      ADMINISTRATOR,
      { kind: 'agent', name, owner, purpose: 'is measured', environment: 'bench', profile: 'agent' },
      registry,
    );
    const token = parseJoinToken((await createToken(ADMINISTRATOR, { agent: name, uses: copies }, tokens)).text);
    for (let copy = 0; copy < copies; copy++) {
      const evidence = await attestJoinToken(token, { reader, clock, instances: registered });
      const { key, csr } = await newRequest();
      const issued = await enrol(NEWCOMER, { evidence, csr }, issuance);
      members.push({ agent: name, key, issued, caller: callerOf(issued) });
    }
  });
  return members;
}

/** Who calls when this certificate is presented. */
export function callerOf({ id, name, instance, serial }: IssuedCertificate): Caller {
  return { kind: 'agent', id, agent: name, instance: instance!, serial };
}
