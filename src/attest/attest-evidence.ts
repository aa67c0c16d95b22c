import type { Clock } from '../base/clock.ts';
import { sha256 } from '../base/sha256.ts';
import type { Reader } from '../db/database.ts';
import { canonicalJson } from '../merkle/canonical-json.ts';
import type { AttestorEvidence } from '../wire/attestation.ts';
import type { Runtime } from '../wire/runtime.ts';
import { runtimeFacts, withoutAgentFacts } from '../wire/runtime-facts.ts';
import type { Attestation, Attested } from './attested.ts';
import type { ShownAttestor } from './attestor/attestor.ts';
import type { Verifiers } from './attestor/kinds.ts';
import { readAttestor, requireAttestor } from './attestor/store.ts';
import { type ChallengeParts, deriveOf, readChallenge } from './challenge.ts';
import type { EntryCache } from './entry/cache.ts';
import type { RegistrationEntry } from './entry/entry.ts';
import { requireEntry } from './entry/store.ts';
import type { EvidenceFacts, EvidenceFault, EvidenceFetch, Verified } from './evidence.ts';
import { isUsed, useEvidence } from './evidence-store.ts';
import { matches, orderedFacts } from './facts.ts';
import { imageSignerOf } from './verifier/image-signature.ts';

export interface EvidenceParts extends ChallengeParts {
  readonly reader: Reader;
  readonly clock: Clock;
  readonly fetch: EvidenceFetch;
  readonly verifiers: Verifiers;
  readonly entries: EntryCache;
}

/** What a bearer of evidence says besides. */
export interface Presented {
  /** DER of the SubjectPublicKeyInfo that is to be certified. */
  readonly spki: Uint8Array;
  /** As which agent or service it wants to be let in, where it could be several. */
  readonly agent?: string | undefined;
  readonly runtime?: Runtime | undefined;
}

/**
 * What evidence of an attestor proves: its kind's verifier says what is true of the bearer, and of the attestor's
 * registration entries the one that asks for most of it says as whom it is let in. Whether entry and attestor are still
 * there, and whether the evidence was used, the commit looks at again.
 */
export async function attestEvidence(
  evidence: AttestorEvidence,
  presented: Presented,
  parts: EvidenceParts,
): Promise<Attestation> {
  const judged = await judgeEvidence(evidence, presented, parts);
  const { kind } = evidence;
  const name = judged.known ? evidence.attestor : undefined;
  const refused = (fault: EvidenceFault, facts?: EvidenceFacts): Attestation => ({
    accepted: false,
    kind,
    fault,
    ...(name === undefined ? {} : { attestor: name }),
    ...(facts === undefined ? {} : { facts }),
  });
  if ('fault' in judged) return refused(judged.fault);
  const { attestor, verified, facts, spent } = judged;
  if (spent) return refused('spent', facts);
  const entry = await choose(attestor.name, presented.agent, facts, parts);
  if (typeof entry === 'string') return refused(entry, facts);
  return { accepted: true, attested: attestedBy(evidence, { attestor, verified, facts, entry }, parts) };
}

/** What is true of a bearer of evidence, before any entry is looked at. */
export type JudgedEvidence =
  | {
      readonly known: true;
      readonly attestor: ShownAttestor;
      readonly verified: Extract<Verified, { accepted: true }>;
      readonly facts: EvidenceFacts;
      /** It lets in once, and has done so. */
      readonly spent: boolean;
    }
  /** `known`: there is an attestor of that name and kind. */
  | { readonly known: boolean; readonly attestor: ShownAttestor | undefined; readonly fault: EvidenceFault };

export async function judgeEvidence(
  evidence: AttestorEvidence,
  presented: Pick<Presented, 'spki' | 'runtime'>,
  parts: EvidenceParts,
): Promise<JudgedEvidence> {
  const attestor = await readAttestor(parts.reader, evidence.attestor);
  const verifier = parts.verifiers[evidence.kind];
  if (attestor?.settings.kind !== evidence.kind || verifier === undefined) {
    return { known: false, attestor, fault: 'unknown-attestor' };
  }
  const { name } = attestor;
  const verified: Verified = await verifier.verify(evidence, verifier.parse(attestor.settings.parameters as never), {
    clock: parts.clock,
    fetch: parts.fetch,
    attestor: name,
    spki: presented.spki,
    challenge: (text) => readChallenge(text, name, parts),
    derive: deriveOf(name, parts),
  });
  if (!verified.accepted) return { known: true, attestor, fault: verified.fault };
  const facts = factsOf(verified.facts, presented.runtime, await signerOf(presented, parts));
  if (facts === undefined) return { known: true, attestor, fault: 'malformed' };
  const spent = verified.once !== undefined && (await isUsed(parts.reader, verified.once.digest));
  return { known: true, attestor, verified, facts, spent };
}

async function signerOf(
  { runtime }: Pick<Presented, 'runtime'>,
  { reader }: EvidenceParts,
): Promise<string | undefined> {
  return runtime === undefined ? undefined : imageSignerOf(runtime, reader);
}

/** Undefined where there is more than can be kept. */
function factsOf(
  facts: EvidenceFacts,
  runtime: Runtime | undefined,
  signer: string | undefined,
): EvidenceFacts | undefined {
  try {
    const own = withoutAgentFacts(facts);
    return orderedFacts({ ...own, ...runtimeFacts(runtime, own, signer) }, '/evidence');
  } catch {
    return undefined;
  }
}

/** The entry that asks for most; of several the oldest. */
async function choose(
  attestor: string,
  agent: string | undefined,
  facts: EvidenceFacts,
  parts: EvidenceParts,
): Promise<RegistrationEntry | 'no-entry' | 'ambiguous'> {
  const { entries } = await parts.entries.read({ attestor });
  const fitting = entries
    .filter((entry) => (agent === undefined || entry.agent === agent) && matches(entry.match, facts))
    .sort((a, b) => b.match.length - a.match.length);
  const [best] = fitting;
  if (best === undefined) return 'no-entry';
  return fitting.every((entry) => entry.agent === best.agent) ? best : 'ambiguous';
}

function attestedBy(
  evidence: AttestorEvidence,
  {
    attestor,
    verified,
    facts,
    entry,
  }: {
    readonly attestor: ShownAttestor;
    readonly verified: Extract<Verified, { accepted: true }>;
    readonly facts: EvidenceFacts;
    readonly entry: RegistrationEntry;
  },
  { clock }: EvidenceParts,
): Attested {
  const { reference, expiresAt, once } = verified;
  const { workflow, lifetimeSeconds } = entry;
  return {
    kind: evidence.kind,
    agent: entry.agent,
    reference: reference.slice(0, 255),
    ...(expiresAt === undefined ? {} : { expiresAt }),
    ...(workflow === undefined ? {} : { workflow }),
    scopes: entry.scopes,
    labels: entry.labels,
    facts: { attestation: evidence.kind, attestor: attestor.name, entry: entry.id },
    entry: entry.id,
    evidence: { attestor: attestor.name, digest: digestOf(evidence), facts },
    ...(lifetimeSeconds === undefined ? {} : { longestSeconds: lifetimeSeconds }),
    record(batch) {
      requireAttestor(batch, attestor, 'evidence_refused');
      requireEntry(batch, entry.id, 'evidence_refused');
      if (once !== undefined) useEvidence(batch, { digest: once.digest, until: Math.max(once.until, clock.now()) });
    },
  };
}

/** Of evidence as it came: whoever has it can show that it is what the ledger speaks of. */
export function digestOf(evidence: unknown): Uint8Array {
  return sha256(Buffer.from(canonicalJson(evidence as never), 'utf8'));
}
