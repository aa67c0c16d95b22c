import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageSigner, rsaSigner, signedMessage } from '../../../src/attest/verifier/testdata/signed-message.ts';
import {
  ATTESTATION,
  attestation,
  ENDORSEMENT,
  publicArea,
  softKey,
  softSignature,
} from '../../../src/attest/verifier/testdata/tpm-objects.ts';
import { readTpmPublic } from '../../../src/attest/verifier/tpm-structures.ts';
import type { Files } from './files.ts';

/** What machines and clouds send as evidence. */
export function evidence(): Record<string, Files> {
  return { ber: values(), cms: messages(), tpm: structures(), 'token-claims': claims() };
}

function values(): Files {
  const hex = (text: string): Uint8Array => Buffer.from(text, 'hex');
  return {
    'ok-der': hex('30080201050403616263'),
    'ok-indefinite': hex('308030800201050000a080248004026162040163000000000000'),
    'ok-long-length': hex('30840000000402810105'),
    'refused-no-end': hex('3080020105'),
    'refused-piece': hex('2403020105'),
    'refused-two': hex('05000500'),
  };
}

function messages(): Files {
  const signer = messageSigner('signer');
  const other = rsaSigner('other');
  const octets = (base64: string): Uint8Array => new Uint8Array(Buffer.from(base64, 'base64'));
  const document = { instanceId: 'i-1234567890abcdef0', accountId: '123456789012' };
  const plain = octets(signedMessage(document, { by: signer }));
  const azure = join(import.meta.dirname, '../../../src/x509/testdata/azure-attested-document.txt');
  return {
    'ok-plain': plain,
    'ok-brings-others': octets(
      signedMessage({ nonce: '1' }, { by: signer, brings: [other.certificate, signer.certificate] }),
    ),
    'ok-by-another': octets(signedMessage(document, { by: other, brings: [] })),
    'ok-azure': octets(readFileSync(azure, 'utf8')),
    'refused-truncated': plain.subarray(0, -1),
    'refused-certificate': signer.certificate.raw,
  };
}

function structures(): Files {
  const octets = (base64: string): Uint8Array => new Uint8Array(Buffer.from(base64, 'base64'));
  const [ecc, rsa] = [softKey('P-256'), softKey('rsa')];
  const area = octets(publicArea(ecc, { attributes: ATTESTATION }));
  const attested = attestation(readTpmPublic(area).name, new Uint8Array(32));
  return {
    'ok-ecc-public': area,
    'ok-rsa-public': octets(publicArea(rsa, { attributes: ENDORSEMENT })),
    'ok-attest': attested,
    'ok-signature': octets(softSignature(ecc, attested)),
    'refused-sha1': octets(publicArea(ecc, { nameAlgorithm: 'sha1' })),
    'refused-truncated': area.subarray(0, -1),
    'refused-empty': new Uint8Array(),
  };
}

function claims(): Files {
  const account = { namespace: 'agents', serviceaccount: { name: 'planner' }, pod: { name: 'planner-1', uid: 'u' } };
  return {
    'ok-github': JSON.stringify({ iss: 'https://token.example', sub: 'repo:a/b', repository: 'a/b', run_id: '1' }),
    'ok-kubernetes': JSON.stringify({ sub: 'system:serviceaccount:agents:planner', 'kubernetes.io': account }),
    'ok-google': JSON.stringify({
      email: 'a@example.com',
      email_verified: true,
      google: { compute_engine: { project_id: 'p', instance_id: '1' } },
    }),
    'refused-other-account': JSON.stringify({ sub: 'system:serviceaccount:agents:x', 'kubernetes.io': account }),
    'refused-list': '[]',
  };
}
