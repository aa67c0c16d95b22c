import { X509Certificate } from 'node:crypto';
import { sameBytes } from '../../der/bytes.ts';
import { decodePem } from '../../der/pem.ts';
import { type Certificate, parseCertificate } from '../../x509/certificate.ts';
import { findExtension } from '../../x509/extension.ts';
import { BASIC_CONSTRAINTS, decodeBasicConstraints } from '../../x509/extensions/basic-constraints.ts';
import { decodeKeyUsage, KEY_USAGE } from '../../x509/extensions/key-usage.ts';
import { NAME_CONSTRAINTS } from '../../x509/extensions/name-constraints.ts';

/**
 * The roots to trust after an answer that lists `offered` (PEM), for one who trusts `held`. The list is whole: a root that
 * is not in it any more is not trusted any more. One that is new to it counts only where a root that is held vouches for
 * it by a certificate of its own: whoever got hold of a server's key could otherwise send everybody its own root, and be
 * believed for years after the server was cleaned. Where nothing of the list is to be believed, the held ones stay.
 *
 * `others` (PEM) are the further certificates of the answer, among which a voucher may be; `now` is in milliseconds.
 */
export function nextRoots(
  held: readonly string[],
  { offered, others }: { readonly offered: readonly string[]; readonly others: readonly string[] },
  now: number,
): readonly string[] {
  const known = held.map(read);
  const candidates = [...offered, ...others].map(read);
  const believed = offered.filter((pem) => {
    const root = read(pem);
    return (
      known.some(({ raw }) => sameBytes(raw, root.raw)) ||
      (isRoot(root) &&
        candidates.some((voucher) => known.some((holder) => vouches(holder, voucher, root) && lasts(voucher, now))))
    );
  });
  return believed.length === 0 ? held : [...new Set(believed)];
}

/**
 * Whether `voucher` is a cross-certificate: signed by `holder`, of the name and the key of `root`, an authority without a
 * limit to what may stand below it, and confined to the same names. The intermediate authorities of Writ have such a
 * limit, so none of them, nor whoever has its key, can make a root of itself.
 */
function vouches(holder: Certificate, voucher: Certificate, root: Certificate): boolean {
  const basic = findExtension(voucher.extensions, BASIC_CONSTRAINTS);
  const usage = findExtension(voucher.extensions, KEY_USAGE);
  const { ca, pathLength } = basic === undefined ? { ca: false } : decodeBasicConstraints(basic.value);
  return (
    sameBytes(voucher.issuer.raw, holder.subject.raw) &&
    sameBytes(voucher.subject.raw, root.subject.raw) &&
    sameBytes(voucher.spki, root.spki) &&
    ca &&
    pathLength === undefined &&
    usage !== undefined &&
    decodeKeyUsage(usage.value).includes('keyCertSign') &&
    sameBytes(namesOf(voucher), namesOf(root)) &&
    isSignedBy(voucher, holder)
  );
}

function isRoot(certificate: Certificate): boolean {
  return sameBytes(certificate.subject.raw, certificate.issuer.raw) && isSignedBy(certificate, certificate);
}

function isSignedBy(certificate: Certificate, { raw }: Certificate): boolean {
  return new X509Certificate(certificate.raw).verify(new X509Certificate(raw).publicKey);
}

function lasts({ notBefore, notAfter }: Certificate, now: number): boolean {
  return notBefore <= now && now <= notAfter;
}

/** DER of the name constraints; empty where there are none. */
function namesOf({ extensions }: Certificate): Uint8Array {
  return findExtension(extensions, NAME_CONSTRAINTS)?.value ?? new Uint8Array();
}

function read(pem: string): Certificate {
  return parseCertificate(decodePem(pem, 'CERTIFICATE'));
}
