import { constants, createCipheriv, createECDH, createHmac, hash, publicEncrypt } from 'node:crypto';
import { ATTRIBUTE, sized, type TpmHash, type TpmPublic } from './tpm-structures.ts';

/** What TPM2_ActivateCredential takes: TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET. */
export interface TpmCredential {
  readonly credentialBlob: Uint8Array;
  readonly encryptedSecret: Uint8Array;
}

const DIGEST_OCTETS: Readonly<Record<TpmHash, number>> = { sha256: 32, sha384: 48, sha512: 64 };

/** Attributes of an endorsement key (TCG EK Credential Profile): a key for unwrapping alone, made and kept in the module. */
const ENDORSEMENT =
  ATTRIBUTE.fixedTpm | ATTRIBUTE.fixedParent | ATTRIBUTE.sensitiveDataOrigin | ATTRIBUTE.restricted | ATTRIBUTE.decrypt;

/** True for a public area that a credential can be made out to. */
export function isEndorsementKey({ attributes, aesBits }: TpmPublic): boolean {
  return (attributes & ENDORSEMENT) === ENDORSEMENT && (attributes & ATTRIBUTE.sign) === 0 && aesBits !== undefined;
}

/**
 * TPM2_MakeCredential without a module (TPM 2.0 Library, Part 1 §24): `secret`, of at most 32 octets, such that the module
 * with this endorsement key gives it out, and only while it holds the object of this name. `seed`: as many unpredictable
 * octets as the key's hash has, used for nothing else; for RSA keys alone, since an ECC key agrees on one.
 */
export function makeTpmCredential(
  endorsement: TpmPublic,
  name: Uint8Array,
  { secret, seed }: { readonly secret: Uint8Array; readonly seed: Uint8Array },
): TpmCredential {
  const { nameAlgorithm, aesBits = 128 } = endorsement;
  const shared = endorsement.point === undefined ? wrapSeed(endorsement, seed) : agreeOnSeed(endorsement);
  const cipherKey = kdfa(nameAlgorithm, shared.seed, 'STORAGE', name, aesBits);
  const cipher = createCipheriv(`aes-${aesBits}-cfb`, cipherKey, new Uint8Array(16));
  const hidden = Buffer.concat([cipher.update(sized(secret)), cipher.final()]);
  const bits = DIGEST_OCTETS[nameAlgorithm] * 8;
  const macKey = kdfa(nameAlgorithm, shared.seed, 'INTEGRITY', new Uint8Array(), bits);
  const mac = createHmac(nameAlgorithm, macKey).update(hidden).update(name).digest();
  return {
    credentialBlob: sized(Buffer.concat([sized(mac), hidden])),
    encryptedSecret: sized(shared.wrapped),
  };
}

interface SharedSeed {
  readonly seed: Uint8Array;
  readonly wrapped: Uint8Array;
}

/** Part 1 §B.10.4: OAEP with the hash of the key's name and the label with its zero octet. */
function wrapSeed({ key, nameAlgorithm }: TpmPublic, seed: Uint8Array): SharedSeed {
  const padding = constants.RSA_PKCS1_OAEP_PADDING;
  const label = Buffer.from('IDENTITY\0', 'latin1');
  const own = seed.subarray(0, DIGEST_OCTETS[nameAlgorithm]);
  return { seed: own, wrapped: publicEncrypt({ key, padding, oaepHash: nameAlgorithm, oaepLabel: label }, own) };
}

/** Part 1 §C.6.1: the seed comes of a Diffie-Hellman exchange with a key that is thrown away. */
function agreeOnSeed({ point, nameAlgorithm }: TpmPublic): SharedSeed {
  const { curve, x, y } = point!;
  const own = createECDH(curve);
  const ephemeral = own.generateKeys();
  const agreed = own.computeSecret(Buffer.concat([Uint8Array.of(4), x, y]));
  const ephemeralX = ephemeral.subarray(1, 1 + x.length);
  const seed = kdfe(nameAlgorithm, agreed, ephemeralX, x);
  return { seed, wrapped: Buffer.concat([sized(ephemeralX), sized(ephemeral.subarray(1 + x.length))]) };
}

/** KDFa (Part 1 §11.4.10.2), with one context. Gives `bits` / 8 octets. */
export function kdfa(digest: TpmHash, key: Uint8Array, label: string, context: Uint8Array, bits: number): Uint8Array {
  const blocks: Buffer[] = [];
  for (let counter = 1; (counter - 1) * DIGEST_OCTETS[digest] * 8 < bits; counter++) {
    const mac = createHmac(digest, key).update(long(counter)).update(`${label}\0`, 'latin1');
    blocks.push(mac.update(context).update(long(bits)).digest());
  }
  return Buffer.concat(blocks).subarray(0, bits / 8);
}

/** KDFe (Part 1 §11.4.10.3) for a seed: one block, of the whole hash. */
function kdfe(digest: TpmHash, agreed: Uint8Array, own: Uint8Array, other: Uint8Array): Uint8Array {
  return hash(digest, Buffer.concat([long(1), agreed, Buffer.from('IDENTITY\0', 'latin1'), own, other]), 'buffer');
}

function long(value: number): Buffer {
  const octets = Buffer.alloc(4);
  octets.writeUInt32BE(value);
  return octets;
}
