import { sameBytes } from '../../../src/der/bytes.ts';
import { type Certificate, parseCertificate } from '../../../src/x509/certificate.ts';
import { isIssuedBy, issuerHashes } from '../../../src/x509/ocsp-cert-id.ts';
import { encodeOcspRequest, MAX_OCSP_CERTIFICATES, parseOcspRequest } from '../../../src/x509/ocsp-request.ts';
import { parseOcspResponse } from '../../../src/x509/ocsp-response.ts';
import { judgeOcspResponse } from '../../../src/x509/ocsp-verify.ts';
import { readCorpus } from '../corpus.ts';
import { demand, type Target } from '../target.ts';

/** Input: a question. What is taken out of it makes the same question again. */
export const ocspRequest: Target = {
  name: 'ocsp-request',
  form: 'der',
  longest: 8192,
  codes: ['bad_der', 'bad_request', 'bad_certificate', 'too_large'],
  run(input) {
    const { certificates, nonce } = parseOcspRequest(input);
    demand(certificates.length > 0 && certificates.length <= MAX_OCSP_CERTIFICATES, 'a number beyond the limits');
    demand(nonce === undefined || (nonce.length > 0 && nonce.length <= 128), 'a nonce beyond the limits');
    const again = parseOcspRequest(
      encodeOcspRequest(
        certificates.map(({ raw }) => raw),
        nonce,
      ),
    );
    demand(again.certificates.length === certificates.length, 'certificates are lost when it is written again');
    demand(
      again.certificates.every(({ serial }, i) => sameBytes(serial, certificates[i]!.serial)),
      'a certificate is another when it is written again',
    );
    const hashes = issuerHashes(known().issuer.subject.raw, known().issuer.spki);
    for (const id of certificates) isIssuedBy(id, hashes);
  },
};

/** Issuer and leaf that the answers of the corpus are about, and what was really signed. */
let chain: { issuer: Certificate; leaf: Certificate; signed: readonly Uint8Array[] } | undefined;

function known(): NonNullable<typeof chain> {
  if (chain !== undefined) return chain;
  const samples = readCorpus('ocsp-response').filter(({ accepted }) => accepted);
  const basics = samples.flatMap(({ file, bytes }) => {
    const parsed = parseOcspResponse(bytes);
    return parsed.kind === 'basic' ? [{ file, ...parsed.basic }] : [];
  });
  const [issuer, leaf] = basics.find(({ file }) => file === 'ok-issuer')!.certificates.map(parseCertificate);
  chain = { issuer: issuer!, leaf: leaf!, signed: basics.map(({ tbs }) => tbs) };
  return chain;
}

/** Input: an answer, also held against the leaf that the corpus is about. */
export const ocspResponse: Target = {
  name: 'ocsp-response',
  form: 'der',
  longest: 20_000,
  codes: ['bad_der', 'bad_certificate', 'too_large'],
  run(input) {
    const { issuer, leaf, signed } = known();
    const parsed = parseOcspResponse(input);
    const judged = judgeOcspResponse(input, { certificate: leaf, issuer, now: leaf.notAfter - 86_400_000 });
    if (judged.kind === 'refused') return;
    demand(
      parsed.kind === 'basic' && signed.some((tbs) => sameBytes(tbs, parsed.basic.tbs)),
      'an answer that nobody signed was accepted',
    );
  },
};
