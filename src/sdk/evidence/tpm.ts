import { sha256 } from '../../base/sha256.ts';
import { encodePem } from '../../der/pem.ts';
import { boundOctets } from '../../wire/bound-octets.ts';
import { certificatesOf } from './certificate.ts';
import { findEndorsementKey } from './endorsement.ts';
import type { EvidenceSource } from './source.ts';
import { openTpm, sized, Tpm, word } from './tpm-device.ts';

export interface TpmEvidenceOptions {
  /** Name of the attestor at the server. */
  readonly attestor: string;
  /** Device or Unix socket of the module. Default `/dev/tpmrm0`. */
  readonly device?: string;
  /** PEM of the manufacturer's authorities between its root and the endorsement key. */
  readonly intermediates?: readonly string[];
}

/**
 * Evidence of a trusted platform module: three keys that the module makes anew from its own seed each time, always the
 * same, so that nothing is kept here. The key signs for each renewal, too.
 */
export function tpmEvidence({
  attestor,
  device = '/dev/tpmrm0',
  intermediates = [],
}: TpmEvidenceOptions): EvidenceSource {
  return {
    present: (spki, ask) =>
      withModule(device, async (tpm, made) => {
        const { certificate, template, byPolicy } = await findEndorsementKey(tpm);
        const endorsement = await made(template);
        const attestation = await made(ATTESTATION_KEY);
        const keys = { endorsement_key: base64(endorsement.area), attestation_key: base64(attestation.area) };
        const { challenge, credential_blob = '', encrypted_secret = '' } = await ask({ attestor, ...keys });
        const secret = await tpm.activateCredential(
          { attestation: attestation.handle, endorsement: endorsement.handle, byPolicy },
          Buffer.from(credential_blob, 'base64'),
          Buffer.from(encrypted_secret, 'base64'),
        );
        await tpm.flush(endorsement.handle);
        const key = await made(SIGNING_KEY);
        const bound = boundOctets(challenge, spki);
        const places = { object: key.handle, key: attestation.handle };
        const { attested, signature } = await tpm.certify(places, sha256(bound));
        return {
          kind: 'tpm',
          attestor,
          challenge,
          secret: base64(secret),
          ...keys,
          ...(certificate === undefined
            ? {}
            : { chain: [pemOf(certificate), ...intermediates.flatMap(certificatesOf)] }),
          key: base64(key.area),
          attested: base64(attested),
          signature: base64(signature),
          proof: base64(await tpm.sign(key.handle, sha256(bound))),
        };
      }),
    renew: (spki, ask) =>
      withModule(device, async (tpm, made) => {
        const { challenge } = await ask({ attestor });
        const { handle } = await made(SIGNING_KEY);
        return { challenge, proof: base64(await tpm.sign(handle, sha256(boundOctets(challenge, spki)))) };
      }),
  };
}

type Made = (template: Uint8Array) => ReturnType<Tpm['createPrimary']>;

/** Whatever is made in the module is gone from it afterwards: others use it, too. */
async function withModule<T>(device: string, act: (tpm: Tpm, made: Made) => Promise<T>): Promise<T> {
  const tpm = new Tpm(await openTpm(device));
  const handles: number[] = [];
  try {
    return await act(tpm, async (template) => {
      const one = await tpm.createPrimary(template);
      handles.push(one.handle);
      return one;
    });
  } finally {
    for (const handle of handles) await tpm.flush(handle);
  }
}

/** ECDSA on P-256 with SHA-256. `attributes`: TPMA_OBJECT; `use` keeps keys for different uses apart. */
function eccTemplate(attributes: string, use: string): Buffer {
  return Buffer.concat([
    Buffer.from(`0023000b${attributes}0000`, 'hex'),
    word(0x10),
    Buffer.from('0018000b', 'hex'),
    Buffer.from('00030010', 'hex'),
    sized(sha256(`writ ${use} 1`)),
    sized(Buffer.alloc(32)),
  ]);
}

/** Fixed to the module, made there, used with an empty password; the first signs what the module makes and nothing else. */
const ATTESTATION_KEY = eccTemplate('00050072', 'attestation');
const SIGNING_KEY = eccTemplate('00040072', 'signing');

/** What is stored may be longer than the certificate. */
function pemOf(stored: Buffer): string {
  const length = stored[1] === 0x82 ? 4 + stored.readUInt16BE(2) : stored.length;
  return encodePem('CERTIFICATE', stored.subarray(0, length));
}

function base64(octets: Uint8Array): string {
  return Buffer.from(octets).toString('base64');
}
