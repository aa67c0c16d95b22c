/** Tokens that are not made by the product, right and wrong. */
import { constants, type KeyObject, sign } from 'node:crypto';

const b64 = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

/** A compact JWS by `key`, whatever its header says; `alg` ES256 unless the header says otherwise. `exp` in five minutes. */
export function signedToken(
  key: KeyObject,
  header: Readonly<Record<string, unknown>>,
  claims: Readonly<Record<string, unknown>> | string,
): string {
  const alg = String(header['alg'] ?? 'ES256');
  const whole = { alg, ...header };
  const payload = typeof claims === 'string' ? claims : { exp: Math.floor(Date.now() / 1000) + 300, ...claims };
  const input = `${b64(whole)}.${b64(payload)}`;
  return `${input}.${sign(hashOf(alg), Buffer.from(input), optionsOf(alg, key)).toString('base64url')}`;
}

function hashOf(alg: string): string | null {
  return alg === 'EdDSA' ? null : `sha${/\d{3}$/.exec(alg)?.[0] ?? '256'}`;
}

function optionsOf(alg: string, key: KeyObject): Parameters<typeof sign>[2] {
  if (alg.startsWith('ES')) return { key, dsaEncoding: 'ieee-p1363' };
  if (!alg.startsWith('PS')) return key;
  return { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
}
