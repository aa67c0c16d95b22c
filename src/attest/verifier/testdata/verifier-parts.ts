/** What verifiers take beside evidence and parameters: a clock that stands still, one challenge, servers in memory. */
import { constants, createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { type ManualClock, manualClock } from '../../../base/clock.ts';
import { toBase64url } from '../../../jwt/base64url.ts';
import type { EvidenceFetch, FetchedEvidence, VerifierParts } from '../../evidence.ts';

export const NOW: number = Date.UTC(2026, 5, 1);
export const CHALLENGE = 'bm9uY2Ugb2YgdGhlIHNlcnZlcg';
export const NONCE: Uint8Array = new Uint8Array(32).fill(3);

export interface TestParts extends VerifierParts {
  readonly clock: ManualClock;
}

/** `spki`: the key of the CSR. The only good challenge is `CHALLENGE`; `OLD` is one that is past its time. */
export function verifierParts(change: Partial<VerifierParts> = {}): TestParts {
  return {
    clock: manualClock(NOW),
    fetch: async () => ({ reached: false }),
    attestor: 'test',
    spki: Buffer.from('the key of the CSR'),
    challenge: (text) => {
      if (text === 'OLD') return { good: false, fault: 'challenge-expired' };
      if (text !== CHALLENGE) return { good: false, fault: 'bad-challenge' };
      return { good: true, nonce: NONCE, until: NOW + 60_000 };
    },
    derive: (...of) => createHmac('sha256', 'test').update(Buffer.concat(of)).digest(),
    ...change,
  } as TestParts;
}

export interface Web {
  readonly fetch: EvidenceFetch;
  /** Every URL that was asked for, in order. */
  readonly asked: string[];
  /** What is answered, by URL; a URL that is not here is not reached. Objects are JSON. */
  readonly pages: Record<string, unknown>;
}

export function web(pages: Record<string, unknown>): Web {
  const asked: string[] = [];
  const fetch: EvidenceFetch = async (url): Promise<FetchedEvidence> => {
    asked.push(url);
    const page = pages[url];
    if (page === undefined) return { reached: false };
    if (typeof page === 'number') return { reached: true, status: page, body: Buffer.from('{}') };
    const text = typeof page === 'string' ? page : JSON.stringify(page);
    return { reached: true, status: 200, body: Buffer.from(text) };
  };
  return { fetch, asked, pages };
}

/** A key pair of a token issuer. */
export interface TokenKey {
  readonly privateKey: KeyObject;
  readonly jwk: Readonly<Record<string, unknown>>;
}

export function tokenKey(kid: string | undefined, kind: 'rsa' | 'P-256' | 'ed25519' = 'P-256'): TokenKey {
  const { privateKey, publicKey } =
    kind === 'rsa'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : kind === 'ed25519'
        ? generateKeyPairSync('ed25519')
        : generateKeyPairSync('ec', { namedCurve: kind });
  return { privateKey, jwk: { ...publicKey.export({ format: 'jwk' }), ...(kid === undefined ? {} : { kid }) } };
}

/** A token, signed by the algorithm that `header.alg` names. */
export function signToken(key: KeyObject, header: Readonly<Record<string, unknown>>, claims: object): string {
  const input = `${toBase64url(JSON.stringify(header))}.${toBase64url(JSON.stringify(claims))}`;
  const alg = String(header['alg']);
  const octets = Buffer.from(input);
  const hash = alg === 'EdDSA' ? null : `sha${alg.slice(2)}`;
  const signature = alg.startsWith('ES')
    ? sign(hash, octets, { key, dsaEncoding: 'ieee-p1363' })
    : alg.startsWith('PS')
      ? sign(hash, octets, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 })
      : sign(hash, octets, key);
  return `${input}.${toBase64url(signature)}`;
}
