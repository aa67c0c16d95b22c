import { ask } from './ask.ts';
import { type MachineOptions, metadataOf } from './machine.ts';
import type { EvidenceSource } from './source.ts';
import { requireToken } from './token.ts';

export interface GcpEvidenceOptions extends MachineOptions {
  /** As the attestor has it. */
  readonly audience: string;
  /**
   * Kind of the attestor. `gcp` (default): for machines. `oidc`: for an attestor with the issuer `https://accounts.google.com`,
   * where there is a service account and no machine, as on Cloud Run.
   */
  readonly kind?: 'gcp' | 'oidc';
}

/** A machine or a program of Google Cloud: an identity token of its service account for the attestor's audience. */
export function gcpEvidence(options: GcpEvidenceOptions): EvidenceSource {
  const { attestor, audience, kind = 'gcp' } = options;
  const base = metadataOf(options);
  return {
    async present() {
      // "Verify the identity of VMs": the machine is named in the full format alone.
      const query = new URLSearchParams({ audience, format: 'full' }).toString();
      const token = await ask({
        url: `${base}/computeMetadata/v1/instance/service-accounts/default/identity?${query}`,
        headers: { 'Metadata-Flavor': 'Google' },
        answers: ['metadata-flavor', 'Google'],
        whom: 'metadata server of Google Cloud',
        field: 'metadata',
        remedy: 'Check that this runs on Google Cloud, with a service account.',
      });
      return { kind, attestor, token: requireToken(token, 'metadata') };
    },
  };
}
