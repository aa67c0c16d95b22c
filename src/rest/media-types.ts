/** RFC 8555 §9.1. */
export const PEM_TYPE = 'application/pem-certificate-chain';
/** RFC 5280 §4.2.1.13 and §4.2.2.1. */
export const CERTIFICATE_TYPE = 'application/pkix-cert';
export const CRL_TYPE = 'application/pkix-crl';
export const NOTE_TYPE = 'text/plain; charset=utf-8';
export const OCTETS_TYPE = 'application/octet-stream';
