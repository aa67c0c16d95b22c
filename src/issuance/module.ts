import { WritError } from '../base/error.ts';

/** A trusted platform module by which an instance was let in, and by which it renews. */
export interface Module {
  /** Name of the attestor: what challenges are bound to. */
  readonly attestor: string;
  /** Its key for signing, as the fact `tpm:key` has it. */
  readonly key: string;
}

/** Holds what was presented against a module: that of the instance, as it was let in. */
export type ModuleProof = (module: Module) => boolean;

/**
 * Why a certificate is not given to who asks for its own: an instance that was let in by a module has to show, each time,
 * that the module is still there. A copy of its certificate and key is worth nothing elsewhere then.
 */
export function moduleFault(
  { module }: { readonly module?: Module },
  proof: ModuleProof | undefined,
): WritError | undefined {
  if (module === undefined || proof?.(module) === true) return undefined;
  return new WritError(
    'evidence_refused',
    'The module by which this instance was let in has not signed for the request.',
    {
      field: '/tpm',
      remedy:
        'Ask for a challenge, and send it with a signature by the key that the module keeps (docs/ATTESTATION.md).',
    },
  );
}
