import type { IssuedCertificate } from '../issuance/issued.ts';
import type { CertificateRequest } from '../issuance/request.ts';
import { canonicalJson } from '../merkle/canonical-json.ts';
import type * as wire from '../wire/attestation.ts';
import { challenge, createChallenge, requestSvid } from '../wire/attestation.ts';
import { issuedCertificate } from '../wire/certificate.ts';
import type { Runtime } from '../wire/runtime.ts';
import { EXAMPLE_CSR, EXAMPLE_ISSUED, pemOfMany } from './certificate-answers.ts';
import { issuedOrFault, requestOf } from './issuing.ts';
import { hashedOwner, type Operation, operation } from './operation.ts';

/** What the routes of strangers with evidence need. */
export interface Svids {
  /** Lets a new instance in on evidence of any kind. Without a caller: nobody has a certificate yet. */
  request(
    request: CertificateRequest & {
      readonly evidence: wire.Evidence;
      readonly agent?: string;
      readonly runtime?: Runtime;
    },
  ): Promise<IssuedCertificate>;
  challenge(request: wire.CreateChallenge): Promise<wire.Challenge>;
  /** DER of the roots in use. */
  roots(): readonly Uint8Array[];
}

export function svidOperations(svids: Svids): Operation[] {
  const pemOf = pemOfMany();
  const answer = issuedOrFault(pemOf);
  return [
    operation({
      id: 'requestSvid',
      method: 'POST',
      path: '/v1/svid',
      access: 'public',
      action: 'instance.enrol',
      summary: 'Lets a new instance in on evidence of any kind, and gives it its first certificate.',
      body: requestSvid,
      // Chains of certificates with large keys, and the bundle of an image.
      bodyLimit: 128 * 1024,
      keyOwner: ({ evidence }) => hashedOwner('evidence', canonicalJson(evidence as never)),
      status: 201,
      answer: issuedCertificate,
      example: {
        body: {
          csr: EXAMPLE_CSR,
          evidence: { kind: 'oidc', attestor: 'github', token: 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln' },
        },
        answer: EXAMPLE_ISSUED,
      },
      async handle({ body, idempotency }) {
        const { evidence, agent, runtime } = body;
        const issued = svids.request({
          evidence,
          ...(agent === undefined ? {} : { agent }),
          ...(runtime === undefined ? {} : { runtime }),
          ...requestOf(body),
          idempotency,
        });
        return { ...(await answer(issued)), bundle: svids.roots().map(pemOf) };
      },
    }),
    operation({
      id: 'createAttestationChallenge',
      method: 'POST',
      path: '/v1/attestation/challenges',
      access: 'public',
      summary: 'Something fresh to sign, for evidence that proves a key. Good for five minutes and one enrolment.',
      body: createChallenge,
      status: 201,
      answer: challenge,
      example: {
        body: { attestor: 'factory' },
        answer: { challenge: 'AZqjxbfgAAAB', expires_at: '2026-11-22T14:05:00.000Z' },
      },
      handle: ({ body }) => svids.challenge(body),
    }),
  ];
}
