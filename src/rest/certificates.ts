import type { Caller } from '../base/access.ts';
import { parseSerial } from '../ca/certificate/serial.ts';
import type { CertificateRow } from '../ca/index/certificates.ts';
import type { IssuedCertificate } from '../issuance/issued.ts';
import type { CertificateRequest } from '../issuance/request.ts';
import { type Stop, stop } from '../wire/cause.ts';
import {
  certificateStatus,
  enrol,
  issueCertificate,
  issuedCertificate,
  type ModuleSignature,
  renewCertificate,
  replaceCertificate,
} from '../wire/certificate.ts';
import { bySerial } from '../wire/path.ts';
import type { Runtime } from '../wire/runtime.ts';
import { EXAMPLE_CSR, EXAMPLE_ISSUED, EXAMPLE_STATUS, pemOfMany, statusAnswer } from './certificate-answers.ts';
import { issuedOrFault, requestOf } from './issuing.ts';
import { hashedOwner, type Operation, operation, type WriteOptions } from './operation.ts';
import { given } from './render.ts';

/** What the writing routes under `/v1/certificates`, and enrolment, need: the flows themselves. */
export interface Certificates {
  /** Lets a new instance in on the evidence of a join token. Without a caller: nobody has a certificate yet. */
  enrol(request: CertificateRequest & { readonly token: string }): Promise<IssuedCertificate>;
  issue(caller: Caller, request: CertificateRequest & { readonly instance: string }): Promise<IssuedCertificate>;
  renew(
    caller: Caller,
    request: CertificateRequest & { readonly runtime?: Runtime; readonly tpm?: ModuleSignature },
  ): Promise<IssuedCertificate>;
  replace(
    caller: Caller,
    request: CertificateRequest & { readonly serial?: Uint8Array; readonly tpm?: ModuleSignature },
  ): Promise<IssuedCertificate>;
  /** Gives the certificate as it stands then; what is revoked stays as it was revoked first. */
  revoke(
    caller: Caller,
    target: { readonly serial: Uint8Array } & Stop,
    options: WriteOptions,
  ): Promise<CertificateRow>;
  /** DER of the roots in use. */
  roots(): readonly Uint8Array[];
  readonly trustDomain: string;
  now(): number;
}

export function certificateOperations(certificates: Certificates): Operation[] {
  const pemOf = pemOfMany();
  const answer = issuedOrFault(pemOf);
  return [
    operation({
      id: 'enrol',
      method: 'POST',
      path: '/v1/enrol',
      access: 'public',
      action: 'instance.enrol',
      summary: 'Lets a new instance in on the evidence of a join token, and gives it its first certificate.',
      body: enrol,
      keyOwner: ({ token }) => hashedOwner('token', token),
      status: 201,
      answer: issuedCertificate,
      example: { body: { token: 'writ-join-1-…', csr: EXAMPLE_CSR }, answer: EXAMPLE_ISSUED },
      async handle({ body, idempotency }) {
        const issued = certificates.enrol({ token: body.token, ...requestOf(body), idempotency });
        return { ...(await answer(issued)), bundle: certificates.roots().map(pemOf) };
      },
    }),
    operation({
      id: 'issueCertificate',
      method: 'POST',
      path: '/v1/certificates',
      access: 'caller',
      action: 'certificate.issue',
      summary: 'A certificate for an instance that cannot ask by itself.',
      body: issueCertificate,
      status: 201,
      answer: issuedCertificate,
      example: { body: { instance: EXAMPLE_ISSUED.instance!, csr: EXAMPLE_CSR }, answer: EXAMPLE_ISSUED },
      handle: ({ caller, body, idempotency }) =>
        answer(certificates.issue(caller, { instance: body.instance, ...requestOf(body), idempotency })),
    }),
    operation({
      id: 'renewCertificate',
      method: 'POST',
      path: '/v1/certificates/renew',
      access: 'caller',
      action: 'certificate.renew',
      summary: 'The next certificate for whoever presents a valid one, for the same key or a new one.',
      body: renewCertificate,
      status: 201,
      answer: issuedCertificate,
      example: { body: { csr: EXAMPLE_CSR }, answer: EXAMPLE_ISSUED },
      async handle({ caller, body, idempotency }) {
        const issued = await answer(
          certificates.renew(caller, {
            ...requestOf(body),
            ...given('runtime', body.runtime),
            ...given('tpm', body.tpm),
            idempotency,
          }),
        );
        // Also where there is one: it may be what is left of several.
        return { ...issued, bundle: certificates.roots().map(pemOf) };
      },
    }),
    operation({
      id: 'replaceCertificate',
      method: 'POST',
      path: '/v1/certificates/replace',
      access: 'caller',
      action: 'certificate.replace',
      repeats: true,
      summary: 'As a renewal, and the certificate before is revoked as superseded in the same act.',
      body: replaceCertificate,
      status: 201,
      answer: issuedCertificate,
      example: { body: { csr: EXAMPLE_CSR, serial: EXAMPLE_ISSUED.serial }, answer: EXAMPLE_ISSUED },
      async handle({ caller, body, idempotency }) {
        const serial = body.serial === undefined ? undefined : parseSerial(body.serial, '/serial');
        const more = { ...given('serial', serial), ...given('tpm', body.tpm), idempotency };
        return answer(certificates.replace(caller, { ...requestOf(body), ...more }));
      },
    }),
    operation({
      id: 'revokeCertificate',
      method: 'POST',
      path: '/v1/certificates/{serial}/revoke',
      access: 'caller',
      action: 'certificate.revoke',
      summary: 'Revokes a certificate for good. What is revoked already is answered with its first time and cause.',
      params: bySerial,
      body: stop,
      answer: certificateStatus,
      example: { body: { cause: 'key_theft' }, answer: EXAMPLE_STATUS },
      async handle({ caller, params, body, idempotency }) {
        const serial = parseSerial(params.serial, '{serial}');
        const row = await certificates.revoke(caller, { serial, ...body }, { idempotency });
        return statusAnswer(row, certificates.trustDomain, certificates.now());
      },
    }),
  ];
}
