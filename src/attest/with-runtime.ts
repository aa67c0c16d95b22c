import { WritError } from '../base/error.ts';
import type { Reader } from '../db/database.ts';
import type { Runtime } from '../wire/runtime.ts';
import { runtimeFacts } from '../wire/runtime-facts.ts';
import { digestOf } from './attest-evidence.ts';
import type { Attestation } from './attested.ts';
import { orderedFacts } from './facts.ts';
import { imageSignerOf } from './verifier/image-signature.ts';

/**
 * What a join token proves, with what the runtime says besides. Throws `bad_request` where the bearer wants to be let in as
 * another than the token is for.
 */
export async function withRuntime(
  attestation: Attestation,
  { runtime, agent }: { readonly runtime?: Runtime | undefined; readonly agent?: string | undefined },
  reader: Reader,
): Promise<Attestation> {
  if (!attestation.accepted) return attestation;
  const { attested } = attestation;
  if (agent !== undefined && agent !== attested.agent) {
    throw new WritError('bad_request', 'The join token is for another agent or service.', {
      field: '/agent',
      remedy: 'Leave it out: a join token says as whom it lets in.',
    });
  }
  if (runtime === undefined) return attestation;
  const facts = orderedFacts(runtimeFacts(runtime, {}, await imageSignerOf(runtime, reader)), '/runtime');
  return { accepted: true, attested: { ...attested, evidence: { digest: digestOf(runtime), facts } } };
}
