import { parseCertificate } from '../../../src/x509/certificate.ts';
import { parseCsr } from '../../../src/x509/csr.ts';
import { demand, type Target } from '../target.ts';
import { certificate, csr } from './x509.ts';

/**
 * Parsers with a defect built in, each of a kind that the harness must find: they wrap the real ones and use their
 * corpus. They show that the harness can fail.
 */
export const PLANTED: readonly Target[] = [
  {
    ...certificate,
    /** Takes for granted that validity ends after it begins, which no parser checks. */
    name: 'certificate that crashes',
    run(input) {
      const { notBefore, notAfter, subject } = parseCertificate(input);
      if (notAfter < notBefore) (undefined as unknown as string[]).push(subject.rdns[0]![0]!.type);
    },
  },
  {
    ...csr,
    /** Compares each octet of the subject with all before it. */
    name: 'request that takes too long',
    run(input) {
      const { raw } = parseCsr(input).subject;
      let same = 0;
      for (let end = 0; end < raw.length; end++) for (let at = 0; at < end; at++) same += raw[at] === raw[end] ? 1 : 0;
      demand(same >= 0, 'the count went wrong');
    },
  },
  {
    ...certificate,
    /** Reads the first value and forgets to look whether anything follows. */
    name: 'certificate with a tail',
    run(input) {
      const end = input[1] === 0x82 ? 4 + input[2]! * 256 + input[3]! : input.length;
      const parsed = parseCertificate(input.subarray(0, end));
      demand(parsed.raw.length === input.length, 'octets beside the certificate were accepted');
    },
  },
];

/** The folder of the corpus that a planted target borrows. */
export function corpusOf(target: Target): string {
  if (!PLANTED.includes(target)) return target.name;
  return target.codes === csr.codes ? csr.name : certificate.name;
}
