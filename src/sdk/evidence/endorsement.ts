import { sized, type Tpm, word } from './tpm-device.ts';

/** An endorsement key as a manufacturer may have certified it. */
export interface EndorsementKey {
  /** Index in the module's memory at which its certificate lies (TCG EK Credential Profile §2.2.1.4, §2.2.1.5). */
  readonly index: number;
  /** What makes the key anew (Annex B of the same). */
  readonly template: Buffer;
  /** Keys of the older templates are used by their policy alone, the newer ones by an empty password, too. */
  readonly byPolicy: boolean;
}

const POLICY_A = Buffer.from('837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa', 'hex');
const POLICY_B_256 = Buffer.from('ca3d0a99a2b93906f7a3342414efcfb3a385d44cd1fd459089d19b5071c0b7a0', 'hex');
const POLICY_B_384 = Buffer.from(
  'b26e7d28d11a50bc53d882bcf5fd3a1a074148bb35d3b4e4cb1c0ad9bde419cacb47ba09699646150f9fc000f3f80e12',
  'hex',
);

/** RSA of 2048 bits: AES-128-CFB, no scheme, the usual exponent. */
function rsa(attributes: string, policy: Uint8Array, unique: number): Buffer {
  const head = Buffer.from(`0001000b${attributes}`, 'hex');
  return Buffer.concat([
    head,
    sized(policy),
    Buffer.from('0006008000430010080000000000', 'hex'),
    sized(Buffer.alloc(unique)),
  ]);
}

/** ECC: AES-CFB, neither scheme nor derivation. */
function ecc(
  [hash, attributes, bits, curve]: readonly [string, string, string, number],
  policy: Uint8Array,
  unique: number,
): Buffer {
  const head = Buffer.from(`0023${hash}${attributes}`, 'hex');
  const parameters = Buffer.concat([Buffer.from(`0006${bits}00430010`, 'hex'), word(curve), word(0x10)]);
  const point = sized(Buffer.alloc(unique));
  return Buffer.concat([head, sized(policy), parameters, point, point]);
}

/** L-1 (§B.3.3), L-2 (§B.3.4), H-1, H-2 and H-3 (§B.4.4 to §B.4.6), in the order in which they are looked for. */
export const ENDORSEMENT_KEYS: readonly EndorsementKey[] = [
  { index: 0x01c0_0002, template: rsa('000300b2', POLICY_A, 256), byPolicy: true },
  { index: 0x01c0_000a, template: ecc(['000b', '000300b2', '0080', 3], POLICY_A, 32), byPolicy: true },
  { index: 0x01c0_0012, template: rsa('000300f2', POLICY_B_256, 0), byPolicy: false },
  { index: 0x01c0_0014, template: ecc(['000b', '000300f2', '0080', 3], POLICY_B_256, 0), byPolicy: false },
  { index: 0x01c0_0016, template: ecc(['000c', '000300f2', '0100', 4], POLICY_B_384, 0), byPolicy: false },
];

/**
 * The first key for which the module has a certificate; where it has none for any, the first one without: an attestor may
 * know keys by themselves.
 */
export async function findEndorsementKey(
  tpm: Tpm,
): Promise<EndorsementKey & { readonly certificate: Buffer | undefined }> {
  for (const key of ENDORSEMENT_KEYS) {
    const certificate = await tpm.readNv(key.index);
    if (certificate !== undefined) return { ...key, certificate };
  }
  return { ...ENDORSEMENT_KEYS[0]!, certificate: undefined };
}
