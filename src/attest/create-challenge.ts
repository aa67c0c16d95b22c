import { WritError } from '../base/error.ts';
import type { Challenge, CreateChallenge } from '../wire/attestation.ts';
import type { EvidenceParts } from './attest-evidence.ts';
import { parseSettings } from './attestor/kinds.ts';
import { readAttestor } from './attestor/store.ts';
import { deriveOf, makeChallenge } from './challenge.ts';

/**
 * Something fresh for the bearer of evidence to sign. Where there is no attestor of that name, one is made all the same,
 * which is good for nothing: strangers need not learn which there are. Throws `bad_request` for keys that nothing can be
 * made out to.
 */
export async function createChallenge(request: CreateChallenge, parts: EvidenceParts): Promise<Challenge> {
  const { text, until } = makeChallenge(request.attestor, parts);
  const made = { challenge: text, expires_at: new Date(until).toISOString() };
  const attestor = await readAttestor(parts.reader, request.attestor);
  const verifier = attestor === undefined ? undefined : parts.verifiers[attestor.settings.kind];
  if (attestor === undefined || verifier?.challenge === undefined) return made;
  const derive = deriveOf(attestor.name, parts);
  const parameters = parseSettings(attestor.settings, parts.verifiers);
  const more = verifier.challenge(request, parameters, { challenge: text, derive });
  if (more !== undefined) return { ...made, ...more };
  throw new WritError('bad_request', 'Nothing can be made out to the keys that were given.', {
    field: '/endorsement_key',
    remedy: 'Give the public parts of the endorsement key and of an attestation key, base64 of TPM2B_PUBLIC.',
  });
}
