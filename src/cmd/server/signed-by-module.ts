import { readChallenge } from '../../attest/challenge.ts';
import { isModuleProof } from '../../attest/verifier/tpm.ts';
import type { ModuleProof } from '../../issuance/module.ts';
import { derivedSecret } from '../../keys/derived-secret.ts';
import type { ModuleSignature } from '../../wire/certificate.ts';
import { parseCsr } from '../../x509/csr.ts';
import type { ThreadParts } from './thread-parts.ts';

/** Looks at the signature of a module only once it is known which module it should be of. */
export function signedByModule(
  csr: Uint8Array,
  signature: ModuleSignature | undefined,
  { keyring, clock, random }: ThreadParts,
): { readonly moduleProof?: ModuleProof } {
  if (signature === undefined) return {};
  return {
    moduleProof: ({ attestor, key }) => {
      const secret = derivedSecret(keyring, 'attestation');
      const { good } = readChallenge(signature.challenge, attestor, { secret, clock, random });
      return good && isModuleProof(key, signature, parseCsr(csr).publicKey.spki);
    },
  };
}
