import type { AnyVerifier, Verifiers } from '../../attest/attestor/kinds.ts';
import { awsVerifier } from '../../attest/verifier/aws.ts';
import { azureVerifier } from '../../attest/verifier/azure.ts';
import { gcpVerifier } from '../../attest/verifier/gcp.ts';
import { parseCosign } from '../../attest/verifier/image-signature.ts';
import { KeySets } from '../../attest/verifier/key-sets.ts';
import { type KubernetesOptions, kubernetesVerifier } from '../../attest/verifier/kubernetes.ts';
import { oidcVerifier } from '../../attest/verifier/oidc.ts';
import { tpmVerifier } from '../../attest/verifier/tpm.ts';
import { x509popVerifier } from '../../attest/verifier/x509pop.ts';
import type { Clock } from '../../base/clock.ts';
import type { Outbound } from '../../http/outbound.ts';

/** Signers of images let nobody in: what they vouch for goes with other evidence (`attest/verifier/image-signature.ts`). */
const imagesOnly: AnyVerifier = {
  parse: parseCosign,
  verify: async () => ({ accepted: false, fault: 'malformed' }),
};

/** The kinds of evidence that this server can verify. One for each thread, since it remembers what issuers publish. */
export function evidenceVerifiers(parts: {
  readonly clock: Clock;
  readonly fetch: Outbound;
  readonly reviewer: NonNullable<KubernetesOptions['reviewer']>;
}): Verifiers {
  const keySets = new KeySets(parts);
  return {
    oidc: oidcVerifier(keySets),
    x509pop: x509popVerifier,
    k8s: kubernetesVerifier({ reviewer: parts.reviewer }),
    aws: awsVerifier,
    gcp: gcpVerifier(keySets),
    azure: azureVerifier,
    tpm: tpmVerifier,
    cosign: imagesOnly,
  };
}
