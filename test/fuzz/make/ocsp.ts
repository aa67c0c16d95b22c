import { hash, sign } from 'node:crypto';
import * as writer from '../../../src/der/writer.ts';
import {
  EXTENDED_KEY_USAGE,
  encodeExtendedKeyUsage,
  OCSP_SIGNING,
} from '../../../src/x509/extensions/extended-key-usage.ts';
import { encodeOcspNoCheck, OCSP_NO_CHECK } from '../../../src/x509/extensions/ocsp-no-check.ts';
import { encodeCertId } from '../../../src/x509/ocsp-cert-id.ts';
import { encodeOcspRequest } from '../../../src/x509/ocsp-request.ts';
import {
  assembleOcspResponse,
  encodeOcspFault,
  encodeResponseData,
  type OcspStatus,
  ocspResponseTemplate,
} from '../../../src/x509/ocsp-response.ts';
import { type Entity, extension, issue, NOW } from '../../../src/x509/path/testdata/issue.ts';
import { parsePublicKey } from '../../../src/x509/public-key.ts';
import type { Files } from './files.ts';

/** Questions and answers about one leaf. `ok-issuer` brings issuer and leaf with it, for the target to judge by. */
export function ocsp(): Record<string, Files> {
  const issuer = issue('Issuing', { ca: true });
  const leaf = issue('', { issuer });
  const delegate = issue('', {
    issuer,
    extensions: {
      [EXTENDED_KEY_USAGE]: extension(EXTENDED_KEY_USAGE, encodeExtendedKeyUsage([OCSP_SIGNING])),
      [OCSP_NO_CHECK]: extension(OCSP_NO_CHECK, encodeOcspNoCheck()),
    },
  });
  const ids = [
    encodeCertId(leaf.certificate, issuer.certificate),
    encodeCertId(leaf.certificate, issuer.certificate, 'sha256'),
    encodeCertId(delegate.certificate, issuer.certificate),
  ];
  const nonce = new Uint8Array(32).fill(5);
  const requestor = writer.encode(0xa1, writer.encode(0x86, Buffer.from('http://a.test')));
  const signature = writer.sequence(writer.sequence(writer.oid('1.3.101.112')), writer.bitString(new Uint8Array(64)));
  const answer = (by: Entity, certificates: readonly Entity[], statuses: readonly OcspStatus[]): Uint8Array => {
    const keyHash = hash('sha1', parsePublicKey(by.key.spki).bits, 'buffer');
    const template = ocspResponseTemplate('ed25519', keyHash, by.certificate.raw);
    const data = encodeResponseData(template, {
      ...{ producedAt: NOW, thisUpdate: NOW, nextUpdate: NOW + 60_000, nonce },
      answers: statuses.map((status, i) => ({ id: ids[i]!, status })),
    });
    const ders = certificates.map(({ certificate }) => certificate.raw);
    const whole = { ...template, certificates: writer.encode(0xa0, writer.sequence(...ders)) };
    return assembleOcspResponse(whole, data, sign(null, data, by.key.privateKey));
  };
  const revoked = { kind: 'revoked', at: NOW - 1000, reason: 'keyCompromise' } as const;
  const several = answer(delegate, [delegate], [{ kind: 'good' }, revoked, { kind: 'unknown' }]);
  return {
    'ocsp-request': {
      'ok-one': encodeOcspRequest([ids[0]!]),
      'ok-several-nonce': encodeOcspRequest(ids, nonce),
      'ok-signed': writer.sequence(
        writer.sequence(requestor, writer.sequence(writer.sequence(ids[1]!))),
        writer.encode(0xa0, signature),
      ),
      'refused-empty': writer.sequence(writer.sequence(writer.sequence())),
      'refused-long-nonce': encodeOcspRequest([ids[0]!], new Uint8Array(129)),
      'refused-truncated': encodeOcspRequest(ids, nonce).subarray(0, -1),
    },
    'ocsp-response': {
      'ok-issuer': answer(issuer, [issuer, leaf], [{ kind: 'good' }]),
      'ok-delegate': several,
      'ok-revoked': answer(delegate, [delegate], [revoked]),
      'ok-try-later': encodeOcspFault('tryLater'),
      'refused-status-4': Uint8Array.of(0x30, 3, 0x0a, 1, 4),
      'refused-truncated': several.subarray(0, -1),
    },
  };
}
