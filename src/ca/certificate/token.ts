import { WritError } from '../../base/error.ts';
import type { ExpectedProfile } from '../../x509/lint/expected.ts';
import { lintCertificate } from '../../x509/lint.ts';
import type { Issuer } from '../issuer.ts';

/** When a certificate is issued and when it ends. */
export interface Validity {
  /** Milliseconds since the Unix epoch. */
  readonly issuedAt: number;
  /** Milliseconds; the certificate's notAfter is this without its fraction of a second. */
  readonly expiresAt: number;
}

/** Everything about a certificate but its signature. */
export interface ToBeSigned extends Validity {
  /** Content octets of the serial number. */
  readonly serial: Uint8Array;
  /** DER TBSCertificate. */
  readonly tbs: Uint8Array;
  /** What its profile lets it be. */
  readonly expected: ExpectedProfile;
}

/**
 * The right to sign one certificate once, by one issuer. The class is not exported, so that nothing else makes one: a
 * token stands for bytes that were linted.
 */
class Prepared implements Validity {
  readonly serial: Uint8Array;
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly #issuer: Issuer;
  #tbs: Uint8Array | undefined;

  constructor(issuer: Issuer, { serial, issuedAt, expiresAt, tbs }: ToBeSigned) {
    this.serial = serial;
    this.issuedAt = issuedAt;
    this.expiresAt = expiresAt;
    this.#issuer = issuer;
    this.#tbs = tbs;
  }

  static redeem(token: Prepared, issuer: Issuer): Uint8Array {
    if (!(#tbs in token)) throw misuse('was not made by a preparation');
    if (token.#issuer !== issuer) throw misuse('was made for another issuer');
    const tbs = token.#tbs;
    if (tbs === undefined) throw misuse('was used before');
    token.#tbs = undefined;
    return tbs;
  }
}

export type { Prepared };

/** Lints what is to be signed and gives the token for it. Throws `lint_failed`, naming what does not hold. */
export function prepared(issuer: Issuer, toBeSigned: ToBeSigned): Prepared {
  const findings = lintCertificate(toBeSigned.tbs, issuer.lint, toBeSigned.expected);
  if (findings.length > 0) {
    throw new WritError('lint_failed', findings.map(({ fault }) => fault).join(' '), {
      reasons: findings.map(({ lint, clause }) => `${lint} (${clause})`),
    });
  }
  return new Prepared(issuer, toBeSigned);
}

/** The bytes to be signed, once. Throws `internal` for a token that is spent, of another issuer, or forged. */
export function redeem(token: Prepared, issuer: Issuer): Uint8Array {
  return Prepared.redeem(token, issuer);
}

function misuse(what: string): WritError {
  return new WritError('internal', `The token to sign a certificate ${what}.`);
}
