import { entriesFor } from '../attest/entry/store.ts';
import { usableTokens } from '../attest/token/store.ts';
import type { Caller } from '../base/access.ts';
import { formatSerial } from '../ca/certificate/serial.ts';
import { listCertificates } from '../ca/index/pages.ts';
import type { CertificatePosition } from '../ca/index/walk.ts';
import { readAgent } from '../registry/agent-store.ts';
import { coveredAgents, coveredInstances } from '../registry/covered.ts';
import { labelFragment } from '../registry/hold.ts';
import { coveredCertificates } from './hold-certificates.ts';
import { massOf } from './mass.ts';
import type { CordParts, MarkingParts } from './parts.ts';
import { demandQuarantine } from './quarantine.ts';
import { STEP } from './steps.ts';
import { demandRevocation } from './stop.ts';
import { type FoundTarget, type StopRequest, understandStop } from './stop-target.ts';

/**
 * What a stop would reach at this moment, by name, each in order. Of an authority: the certificates that it issued, those of
 * operators and servers included; instances and tokens go on under another authority.
 */
export interface Falls {
  /** Agents and services, by name. */
  readonly agents: readonly string[];
  /** Instances, by id. */
  readonly instances: readonly string[];
  /** Unexpired certificates, by serial number in hex. */
  readonly certificates: readonly string[];
  /** Join tokens that let somebody in and would not any more, by id. */
  readonly tokens: readonly string[];
  /** Registration entries by which nobody would come in any more, by id. */
  readonly entries: readonly string[];
  /** Beyond what one person stops for ever alone. */
  readonly needsSecond: boolean;
}

/** What a stop or quarantine would do, with nothing done. Throws as they do. */
export async function wouldFall(
  caller: Caller,
  request: StopRequest & { readonly mode: 'quarantine' | 'revocation' },
  parts: CordParts,
): Promise<Falls> {
  const { cause, found } = await understandStop(caller, request, parts);
  const { target, mode } = request;
  const asks = mode === 'quarantine' || target.kind === 'authority' ? demandQuarantine : demandRevocation;
  asks(caller, target, found, cause, parts);
  return fallsOf(caller, found, mode, parts);
}

async function fallsOf(
  caller: Caller,
  found: FoundTarget,
  mode: 'quarantine' | 'revocation',
  parts: CordParts,
): Promise<Falls> {
  const { hold, certificate } = found;
  const { reader, clock } = parts;
  const [agents, instances, certificates]: [string[], string[], string[]] = [[], [], []];
  const [tokens, entries] = [new Set<string>(), new Set<string>()];
  for await (const names of coveredAgents(reader, hold)) {
    for (const name of names) {
      if ((await readAgent(reader, name))?.status !== 'retired') agents.push(name);
    }
    for (const id of await usableTokens(reader, { agents: names }, clock.now())) tokens.add(id);
    for await (const { id } of allEntries({ agents: names }, parts)) entries.add(id);
  }
  for await (const page of coveredInstances(reader, hold)) {
    const ids = page.filter(({ stopped }) => !stopped).map(({ id }) => id);
    instances.push(...ids);
    for (const id of await usableTokens(reader, { parents: ids }, clock.now())) tokens.add(id);
  }
  if (hold.kind === 'label') {
    const label = labelFragment(hold.target);
    for (const id of await usableTokens(reader, { label }, clock.now())) tokens.add(id);
    for await (const { id } of allEntries({ label }, parts)) entries.add(id);
  }
  if (hold.kind !== 'certificate' || certificate?.revoked === undefined) {
    for await (const rows of coveredCertificates(hold, parts)) {
      certificates.push(...rows.map(({ serial }) => formatSerial(serial)));
    }
  }
  if (hold.kind === 'authority') {
    for await (const serial of issuedBy(hold.target, parts)) certificates.push(serial);
  }
  return {
    agents: agents.sort(),
    instances: instances.sort(),
    certificates: certificates.sort(),
    tokens: [...tokens].sort(),
    entries: [...entries].sort(),
    needsSecond: mode === 'revocation' && (await massOf(caller, found, parts)).waits,
  };
}

async function* allEntries(
  of: Parameters<typeof entriesFor>[1],
  { reader }: MarkingParts,
): AsyncGenerator<{ readonly id: string }> {
  for (let after = ''; ; ) {
    const page = await entriesFor(reader, of, { after, limit: STEP });
    yield* page;
    if (page.length < STEP) return;
    after = page.at(-1)!.id;
  }
}

/** Serial numbers of the unexpired and unrevoked certificates that an authority issued. */
async function* issuedBy(authority: string, { certificates, clock }: MarkingParts): AsyncGenerator<string> {
  let from: CertificatePosition | undefined;
  do {
    const page = await listCertificates(certificates, { state: 'active' }, clock.now(), STEP, from);
    for (const { issuer, serial } of page.rows) if (issuer === authority) yield formatSerial(serial);
    from = page.next;
  } while (from !== undefined);
}
