import type { Verifiers } from '../../attest/attestor-kinds.ts';
import { KeySets } from '../../attest/key-sets.ts';
import { oidcVerifier } from '../../attest/oidc.ts';
import { x509popVerifier } from '../../attest/x509pop.ts';
import type { Clock } from '../../base/clock.ts';
import type { Outbound } from '../../http/outbound.ts';

/** The kinds of evidence that this server can verify. One for each thread, since it remembers what issuers publish. */
export function evidenceVerifiers(parts: { readonly clock: Clock; readonly fetch: Outbound }): Verifiers {
  return { oidc: oidcVerifier(new KeySets(parts)), x509pop: x509popVerifier };
}
