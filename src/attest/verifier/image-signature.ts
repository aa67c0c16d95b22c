import { isWritError, WritError } from '../../base/error.ts';
import type { Reader } from '../../db/database.ts';
import { decodePem } from '../../der/pem.ts';
import type { CosignParameters } from '../../wire/attestor.ts';
import { parseJsonObject } from '../../wire/json.ts';
import type { Runtime } from '../../wire/runtime.ts';
import { algorithmByKey, verifySignature } from '../../x509/algorithm.ts';
import { type PublicKey, parsePublicKey } from '../../x509/public-key.ts';
import { readAttestor } from '../attestor/store.ts';

/** Keys that sign images of containers. */
export interface ImageSigners {
  readonly keys: readonly PublicKey[];
}

/** Throws `bad_request` for what is no public key in PEM. */
export function parseCosign({ keys }: CosignParameters): ImageSigners {
  return {
    keys: keys.map((pem, at) => {
      try {
        return parsePublicKey(decodePem(pem, 'PUBLIC KEY'));
      } catch (cause) {
        throw new WritError('bad_request', 'This is not a public key in PEM.', {
          field: `/settings/parameters/keys/${at}`,
          remedy: 'Give the file cosign.pub, which begins with -----BEGIN PUBLIC KEY-----.',
          cause,
        });
      }
    }),
  };
}

/**
 * Name of the attestor by one of whose keys the image is signed that the runtime says it runs; undefined where none is.
 * That this very image runs is another matter, which a node sees.
 */
export async function imageSignerOf(
  { image_digest: digest, image_signature: signature }: Runtime,
  reader: Reader,
): Promise<string | undefined> {
  if (digest === undefined || signature === undefined) return undefined;
  const attestor = await readAttestor(reader, signature.attestor);
  if (attestor?.settings.kind !== 'cosign') return undefined;
  const signers = parseCosign(attestor.settings.parameters);
  return isImageSigned(signature.bundle, digest, signers) ? attestor.name : undefined;
}

/**
 * Whether a Sigstore bundle (v0.3, as `cosign sign --key` writes it) is a signature of the image with this digest
 * (`sha256:…`) by one of the keys: a DSSE envelope around an in-toto statement of the type that cosign has for images. What
 * stands in it of certificates, logs and times is not looked at: the key decides. Never throws.
 */
export function isImageSigned(bundle: string, digest: string, { keys }: ImageSigners): boolean {
  try {
    const envelope = objectIn(parseJsonObject(Buffer.from(bundle, 'utf8')), 'dsseEnvelope');
    const { payload, payloadType, signatures } = envelope;
    if (typeof payload !== 'string' || payloadType !== IN_TOTO || !Array.isArray(signatures)) return false;
    if (signatures.length === 0 || signatures.length > MOST_SIGNATURES) return false;
    const statement = Buffer.from(payload, 'base64');
    const signed = authenticated(IN_TOTO, statement);
    // As cosign signs with each kind of key; nothing in a bundle chooses.
    const isSigned = signatures.some((one: { readonly sig?: unknown } | null) => {
      const octets = typeof one?.sig === 'string' ? Buffer.from(one.sig, 'base64') : undefined;
      return (
        octets !== undefined &&
        keys.some((key) => verifySignature(algorithmByKey(key.algorithm, 'rsa-pkcs1-sha256'), key, signed, octets))
      );
    });
    return isSigned && isAbout(parseJsonObject(statement), digest);
  } catch (error) {
    if (isWritError(error)) return false;
    throw error;
  }
}

const IN_TOTO = 'application/vnd.in-toto+json';
const SIGNED_IMAGE = 'https://sigstore.dev/cosign/sign/v1';
const MOST_SIGNATURES = 8;

/** What is signed of an envelope (DSSE protocol 1.0.2, PAE). */
function authenticated(type: string, payload: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(`DSSEv1 ${type.length} ${type} ${payload.length} `, 'utf8'), payload]);
}

/** Any other statement about the image, e.g. how it was built, is by the same key and no word for it. */
function isAbout({ predicateType, subject }: Readonly<Record<string, unknown>>, digest: string): boolean {
  if (predicateType !== SIGNED_IMAGE || !Array.isArray(subject)) return false;
  return subject.some(
    (one: { readonly digest?: { readonly sha256?: unknown } } | null) =>
      `sha256:${String(one?.digest?.sha256)}` === digest,
  );
}

function objectIn(value: Readonly<Record<string, unknown>>, name: string): Readonly<Record<string, unknown>> {
  const found = value[name];
  return typeof found === 'object' && found !== null ? (found as Readonly<Record<string, unknown>>) : {};
}
