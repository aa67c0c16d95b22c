import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { createInstallation, type Installation } from '../../../test/installation.ts';
import { type ErrorCode, isWritError } from '../../base/error.ts';
import { readAuthorities } from '../../ca/hierarchy.ts';
import { encodeCsr } from '../../x509/csr.ts';
import { encodeSubjectAltName, SUBJECT_ALT_NAME } from '../../x509/extensions/subject-alt-name.ts';
import type { SubordinateProfile } from '../../ca/domain/domain.ts';
import type { DomainParts } from '../domain/parts.ts';

export const OTHER = 'partners.example';
export const PROFILE: SubordinateProfile = { mostSeconds: 7 * 86_400, keys: ['ec-p256'], most: 2 };
export const refusedAs =
  (code: ErrorCode): ((error: unknown) => boolean) =>
  (error) =>
    isWritError(error, code);

/** An installation, and what the flows of further trust domains take of it. Policy allows all. */
export async function setUp(
  open: () => Promise<Parameters<typeof createInstallation>[0]>,
): Promise<{ readonly installation: Installation; readonly parts: DomainParts }> {
  const installation = await createInstallation(await open(), { start: Date.now() });
  const { database, commit, keyring, clock, random, issuance } = installation;
  const own = async () => ({
    trustDomain: issuance.trustDomain,
    keys: (await readAuthorities(database)).map((one) => one.certificate.spki),
  });
  const parts: DomainParts = {
    ...{ reader: database, commit, keyring, clock, random, own, algorithm: 'ecdsa-p256' },
    ...{ dnsNames: ['agents.example.com', 'corp.example'], statusUrl: 'http://ca.example.com:8480' },
    authorize: () => ({ allowed: true, rules: [], policyVersion: 1 }),
    recordRefusal: installation.refusals.record,
  };
  return { installation, parts };
}

export interface Pair {
  readonly key: KeyObject;
  readonly csr: Uint8Array;
}

export async function request(uris: readonly string[] = [], curve = 'P-256'): Promise<Pair> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: curve });
  const spki = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }));
  const names = uris.map((value) => ({ kind: 'uri', value }) as const);
  const csr = await encodeCsr({
    spki,
    algorithm: curve === 'P-256' ? 'ecdsa-p256-sha256' : 'ecdsa-p384-sha384',
    sign: async (message) => sign(curve === 'P-256' ? 'sha256' : 'sha384', message, privateKey),
    ...(names.length === 0
      ? {}
      : { extensions: [{ oid: SUBJECT_ALT_NAME, critical: false, value: encodeSubjectAltName(names) }] }),
  });
  return { key: privateKey, csr };
}

