/** Structures of a module, written by hand: what a real one would say, and what a liar would. */
import { constants, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { fromBase64url } from '../../../jwt/base64url.ts';
import { ATTRIBUTE, sized, type TpmHash, word } from '../tpm-structures.ts';

export interface SoftKey {
  readonly privateKey: KeyObject;
  readonly spki: Uint8Array;
  readonly jwk: Readonly<Record<string, string>>;
}

export function softKey(kind: 'P-256' | 'rsa'): SoftKey {
  const { privateKey, publicKey } =
    kind === 'rsa'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : generateKeyPairSync('ec', { namedCurve: kind });
  const jwk = publicKey.export({ format: 'jwk' }) as Record<string, string>;
  return { privateKey, jwk, spki: new Uint8Array(publicKey.export({ type: 'spki', format: 'der' })) };
}

const KEPT = ATTRIBUTE.fixedTpm | ATTRIBUTE.fixedParent | ATTRIBUTE.sensitiveDataOrigin;
export const ENDORSEMENT: number = KEPT | ATTRIBUTE.restricted | ATTRIBUTE.decrypt;
export const ATTESTATION: number = KEPT | ATTRIBUTE.restricted | ATTRIBUTE.sign;
export const SIGNING: number = KEPT | ATTRIBUTE.sign;

const HASHES: Readonly<Record<TpmHash | 'sha1', number>> = { sha1: 4, sha256: 0x0b, sha384: 0x0c, sha512: 0x0d };

export interface PublicWish {
  readonly attributes?: number;
  readonly nameAlgorithm?: TpmHash | 'sha1';
  /** Default: ECDSA or RSASSA with SHA-256 for keys that sign; `none`: each signature may choose. */
  readonly scheme?: 'none' | 'sha1';
}

/** TPM2B_PUBLIC, base64. Keys that decrypt are protected by AES-128-CFB, as the usual templates have it. */
export function publicArea({ jwk }: SoftKey, { attributes = SIGNING, nameAlgorithm = 'sha256', scheme }: PublicWish = {}): string {
  const attributesAsOctets = Buffer.alloc(4);
  attributesAsOctets.writeUInt32BE(attributes);
  const unwraps = (attributes & ATTRIBUTE.decrypt) !== 0;
  const symmetric = unwraps ? Buffer.concat([word(6), word(128), word(0x43)]) : word(0x10);
  const rsa = jwk['kty'] === 'RSA';
  const signs = Buffer.concat([word(rsa ? 0x14 : 0x18), word(HASHES[scheme === 'sha1' ? 'sha1' : 'sha256'])]);
  const coordinate = (name: string): Uint8Array => sized(fromBase64url(jwk[name]!)!);
  const area = Buffer.concat([
    word(rsa ? 0x01 : 0x23),
    word(HASHES[nameAlgorithm]),
    attributesAsOctets,
    sized(new Uint8Array(32)),
    symmetric,
    unwraps || scheme === 'none' ? word(0x10) : signs,
    ...(rsa
      ? [word(2048), new Uint8Array(4), coordinate('n')]
      : [word(0x03), word(0x10), coordinate('x'), coordinate('y')]),
  ]);
  return Buffer.from(sized(area)).toString('base64');
}

/** TPMS_ATTEST of TPM2_Certify. */
export function attestation(
  name: Uint8Array,
  qualifyingData: Uint8Array,
  { magic = 'ff544347', type = 0x8017 }: { readonly magic?: string; readonly type?: number } = {},
): Buffer {
  return Buffer.concat([
    Buffer.from(magic, 'hex'),
    word(type),
    sized(new Uint8Array(34)),
    sized(qualifyingData),
    new Uint8Array(25),
    sized(name),
    sized(new Uint8Array(34)),
  ]);
}

/** TPMT_SIGNATURE, base64, by SHA-256 unless another hash is wished for. */
export function softSignature(
  { privateKey, jwk }: SoftKey,
  message: Uint8Array,
  { hash = 'sha256', pss = false }: { readonly hash?: TpmHash | 'sha1'; readonly pss?: boolean } = {},
): string {
  const head = (kind: number): Uint8Array => Buffer.concat([word(kind), word(HASHES[hash])]);
  if (jwk['kty'] === 'RSA') {
    const padding = pss ? constants.RSA_PKCS1_PSS_PADDING : constants.RSA_PKCS1_PADDING;
    const signature = sign(hash, message, { key: privateKey, padding });
    return Buffer.concat([head(pss ? 0x16 : 0x14), sized(signature)]).toString('base64');
  }
  const both = sign(hash, message, { key: privateKey, dsaEncoding: 'ieee-p1363' });
  return Buffer.concat([head(0x18), sized(both.subarray(0, 32)), sized(both.subarray(32))]).toString('base64');
}
