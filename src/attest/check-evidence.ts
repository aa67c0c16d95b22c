import type { Authorize, Caller } from '../base/access.ts';
import { demand } from '../base/demand.ts';
import { WritError } from '../base/error.ts';
import type { AttestorEvidence } from '../wire/attestation.ts';
import { unmatched } from '../wire/match-facts.ts';
import type { Runtime } from '../wire/runtime.ts';
import { digestOf, type EvidenceParts, judgeEvidence } from './attest-evidence.ts';
import { noAttestor } from './attestor/manage.ts';
import type { RegistrationEntry } from './entry/entry.ts';
import type { EvidenceFacts, EvidenceFault } from './evidence.ts';
import { INSTALLATION } from './flow.ts';

/** What evidence would come to now. */
export interface CheckedEvidence {
  /** SHA-256, as `instance.enrolled` has it. */
  readonly digest: Uint8Array;
  /** Why it is not believed. */
  readonly fault?: EvidenceFault;
  readonly spent: boolean;
  readonly facts: EvidenceFacts;
  /** The attestor's entries, the nearest first, and what of that which each asks for does not hold. */
  readonly tried: readonly { readonly entry: RegistrationEntry; readonly missing: readonly string[] }[];
}

const TRIED_MOST = 100;

/**
 * Verifies evidence and tries the attestor's entries, for a person who wants to know why somebody is not let in, or whether
 * kept evidence is what the ledger speaks of. Lets nobody in and uses nothing up. What proves a key for one CSR is
 * `wrong-key` here, where there is none. Throws `denied`, `not_found`, and `bad_request` for evidence of another kind.
 */
export async function checkEvidence(
  caller: Caller,
  {
    name,
    evidence,
    runtime,
  }: {
    readonly name: string;
    readonly evidence: AttestorEvidence;
    readonly runtime?: Runtime | undefined;
  },
  parts: EvidenceParts & { readonly authorize: Authorize },
): Promise<CheckedEvidence> {
  demand(parts.authorize, { caller, action: 'attestor.read', resource: INSTALLATION });
  const judged = await judgeEvidence({ ...evidence, attestor: name }, { spki: NO_KEY, runtime }, parts);
  if (judged.attestor === undefined) throw noAttestor('{name}');
  if (judged.attestor.settings.kind !== evidence.kind) {
    throw new WritError('bad_request', 'The attestor vouches for evidence of another kind.', {
      field: '/evidence/kind',
      remedy: `Give evidence of the kind ${judged.attestor.settings.kind}.`,
    });
  }
  const digest = digestOf(evidence);
  if ('fault' in judged) return { digest, fault: judged.fault, spent: false, facts: {}, tried: [] };
  const { entries } = await parts.entries.read({ attestor: name });
  const tried = entries
    .map((entry) => ({ entry, missing: unmatched(entry.match, judged.facts) }))
    .sort((a, b) => a.missing.length - b.missing.length || b.entry.match.length - a.entry.match.length);
  return { digest, spent: judged.spent, facts: judged.facts, tried: tried.slice(0, TRIED_MOST) };
}

const NO_KEY = new Uint8Array(0);
