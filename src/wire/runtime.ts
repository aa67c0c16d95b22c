import * as z from 'zod';
import { type Schema, schemaOf } from './schema.ts';
import { name, sha256 } from './text.ts';

/**
 * What a runtime says of the agent that it runs. Recorded as claimed, unless what it says is proven by something else:
 * then as verified (`docs/ATTESTATION.md`). Each becomes a fact of the same name behind `agent:`.
 */
export interface Runtime {
  readonly model_provider?: string;
  readonly model_version?: string;
  /** SHA-256 of the system prompt, in lower-case hex. */
  readonly prompt_sha256?: string;
  /** SHA-256 of the tool manifest. */
  readonly tools_sha256?: string;
  readonly framework?: string;
  /** Of the container image, `sha256:…`. */
  readonly image_digest?: string;
  /** That the image of that digest is signed. */
  readonly image_signature?: ImageSignature;
}

interface ImageSignature {
  /** Name of an attestor of the kind `cosign`. */
  readonly attestor: string;
  /** The Sigstore bundle of the image, JSON as text. */
  readonly bundle: string;
}

const line = z
  .string()
  .min(1)
  .max(128)
  .regex(/^[\x21-\x7e]+( [\x21-\x7e]+)*$/, 'Give printable ASCII.');

export const runtime: Schema<Runtime> = schemaOf<Runtime>()(
  z.strictObject({
    model_provider: line.exactOptional(),
    model_version: line.exactOptional(),
    prompt_sha256: sha256.exactOptional(),
    tools_sha256: sha256.exactOptional(),
    framework: line.exactOptional(),
    image_digest: z
      .string()
      .length(71)
      .regex(/^sha256:[0-9a-f]{64}$/, 'Give the digest like sha256:….')
      .exactOptional(),
    image_signature: z.strictObject({ attestor: name, bundle: z.string().min(2).max(32_768) }).exactOptional(),
  }),
);
