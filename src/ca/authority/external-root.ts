import { isWritError, WritError } from '../../base/error.ts';
import { newId } from '../../base/id.ts';
import type { Random } from '../../base/random.ts';
import type { Batch } from '../../db/batch.ts';
import type { Reader } from '../../db/database.ts';
import { sameBytes } from '../../der/bytes.ts';
import { generateKey } from '../../keys/generate.ts';
import { addKey, type Keyring, openKey } from '../../keys/keyring.ts';
import { localSigner } from '../../keys/local.ts';
import { keyAlgorithmOf } from '../../x509/algorithm.ts';
import type { Certificate } from '../../x509/certificate.ts';
import { encodeCsr } from '../../x509/csr.ts';
import { findExtension } from '../../x509/extension.ts';
import { BASIC_CONSTRAINTS, decodeBasicConstraints } from '../../x509/extensions/basic-constraints.ts';
import { decodeKeyUsage, KEY_USAGE } from '../../x509/extensions/key-usage.ts';
import { RFC5280 } from '../../x509/path/policy.ts';
import { validatePath } from '../../x509/path/validate.ts';
import { parsePublicKey } from '../../x509/public-key.ts';
import type { Act } from '../act.ts';
import { AUTHORITY_KEY, type Authority, activeOf } from '../authority.ts';
import type { Hierarchy } from '../hierarchy.ts';
import { type Issuer, openIssuer } from '../issuer.ts';
import type { Profile } from '../profile/profile.ts';
import { issuingLifetime } from './issuing-lifetime.ts';
import { pushAuthorityList } from './list.ts';
import { type MadeAuthority, makeAuthority, requireValidPath } from './make.ts';
import { authorityName } from './name.ts';
import { authorityExtensions } from './prepare.ts';
import { addAuthority, addRequest, addSuccessor, removeRequest } from './store.ts';

export interface RequestOptions extends Act {
  readonly keyring: Keyring;
  readonly random: Random;
}

/**
 * Pushes a key for an intermediate that somebody else's root is to sign, and gives the request for its certificate
 * (DER, PKCS #10), which asks for what Writ's own root would grant: basic constraints, key usage, name constraints and
 * the SPIFFE ID of the trust domain. A request that was never answered is replaced.
 */
export async function requestIntermediate(
  batch: Batch,
  hierarchy: Pick<Hierarchy, 'trustDomain' | 'algorithm' | 'nameConstraints' | 'request'>,
  { now, random, keyring }: RequestOptions,
): Promise<Uint8Array> {
  const id = newId(now, random);
  const key = await generateKey(hierarchy.algorithm);
  const signer = localSigner(key);
  const csr = await encodeCsr({
    spki: signer.spki,
    algorithm: signer.algorithm,
    subject: authorityName('intermediate', hierarchy.trustDomain, id),
    extensions: authorityExtensions('intermediate', hierarchy.trustDomain, hierarchy.nameConstraints),
    sign: async (message) => (await signer.sign([message]))[0]!,
  });
  addKey(batch, keyring, { id, purpose: AUTHORITY_KEY, key, now, random });
  addRequest(batch, { authority: id, keyId: id, csr, createdAt: now });
  return csr;
}

export interface ImportOptions extends Act {
  /** The answer and the certificates above it, the self-signed root included, in any order. */
  readonly certificates: readonly Certificate[];
  readonly profiles: readonly Profile[];
  readonly keyring: Keyring;
  readonly random: Random;
  /** Where the lists of authorities are served. */
  readonly statusUrl?: string;
}

/**
 * Takes the certificate that somebody else's root signed: pushes it as the active intermediate, with what stands above
 * it and, at the first time, an issuing authority below. Everything is validated as a relying party would, down to that
 * issuing certificate, which carries the trust domain's names; if it would not validate, nothing is pushed.
 *
 * Throws `bad_certificate` for a certificate of another key, no authority, or one too narrow for what is to hang on it;
 * `conflict` when nothing was requested, or the root is another than before.
 */
export async function importIntermediate(
  batch: Batch,
  reader: Reader,
  hierarchy: Hierarchy,
  options: ImportOptions,
): Promise<Authority> {
  const { now, keyring, random, certificates } = options;
  const { request, trustDomain } = hierarchy;
  if (request === undefined) {
    throw new WritError('conflict', 'No certificate was requested.', { remedy: 'Run "writ ca request" first.' });
  }
  const key = await openKey(reader, keyring, { id: request.keyId, purpose: AUTHORITY_KEY });
  const signer = localSigner(key);
  const own = certificates.find(({ spki }) => sameBytes(spki, signer.spki));
  if (own === undefined) {
    throw refused(
      'none of the certificates is for the key that was requested',
      'Import the answer to the latest request.',
    );
  }
  requireAuthority(own);
  const upstream = upstreamOf(aboveOf(own, certificates, hierarchy, now), hierarchy, options);
  const authority: Authority = {
    id: request.authority,
    kind: 'intermediate',
    state: 'active',
    certificate: own,
    issuer: upstream[0]!.authority.id,
    keyId: request.keyId,
    signsUntil: own.notAfter,
    createdAt: now,
  };
  const issuer = openIssuer(authority, trustDomain, signer);
  const chain = [authority, ...upstream.map(({ authority }) => authority)];
  const issuing = await issuingBelow(hierarchy, issuer, chain, options);

  removeRequest(batch, request);
  for (const { authority, known } of upstream.toReversed()) if (!known) addAuthority(batch, authority, options);
  addSuccessor(batch, activeOf(hierarchy.authorities, 'intermediate'), authority, options);
  if (activeOf(hierarchy.authorities, 'issuing') === undefined) {
    addKey(batch, keyring, { id: issuing.authority.id, purpose: AUTHORITY_KEY, key: issuing.key, now, random });
    addSuccessor(batch, undefined, issuing.authority, options);
  }
  await pushAuthorityList(batch, hierarchy, issuer, options);
  return authority;
}

/** The first issuing authority below, and the proof that the intermediate can carry one. */
async function issuingBelow(
  hierarchy: Hierarchy,
  above: Issuer,
  chain: readonly Authority[],
  { profiles, now, random, statusUrl }: ImportOptions,
): Promise<MadeAuthority> {
  try {
    const lifetime = issuingLifetime(profiles);
    const pointers = statusUrl === undefined ? {} : { statusUrl };
    const make = { kind: 'issuing', state: 'active', above, lifetime, now, random, ...pointers } as const;
    const made = await makeAuthority(hierarchy, make);
    requireValidPath(made.authority, chain, now);
    return made;
  } catch (error) {
    if (!isWritError(error, 'lint_failed')) throw error;
    throw refused(
      `an issuing certificate below it would not validate: ${error.message}`,
      'Have it signed as requested.',
    );
  }
}

/** RFC 5280 §4.2.1.3, §4.2.1.9: it signs issuing authorities and lists about them. */
function requireAuthority({ extensions }: Certificate): void {
  const basic = findExtension(extensions, BASIC_CONSTRAINTS);
  const constraints = basic && decodeBasicConstraints(basic.value);
  if (constraints?.ca !== true) {
    throw refused('it is no authority', 'Have it signed with basic constraints CA:TRUE, pathlen:1.');
  }
  if (constraints.pathLength === 0) {
    throw refused(
      'its path length leaves no room for issuing authorities',
      'Have it signed with pathlen:1, or without.',
    );
  }
  const usage = findExtension(extensions, KEY_USAGE);
  const usages = usage === undefined ? [] : decodeKeyUsage(usage.value);
  if (!usages.includes('keyCertSign') || !usages.includes('cRLSign')) {
    throw refused('its key usage lacks keyCertSign or cRLSign', 'Have it signed with both key usages.');
  }
}

/** The certificates above, in order, the root last. Throws when there is no way to a root, or it is another one. */
function aboveOf(
  own: Certificate,
  certificates: readonly Certificate[],
  hierarchy: Hierarchy,
  now: number,
): readonly Certificate[] {
  const anchors = certificates.filter(({ subject, issuer }) => sameBytes(subject.raw, issuer.raw));
  const known = activeOf(hierarchy.authorities, 'root')?.certificate;
  // Nobody verifies the signature under an anchor: whoever holds it trusts it already.
  const signed = certificates.filter((certificate) => !anchors.includes(certificate));
  for (const certificate of signed) requireFittingHash(certificate, certificates);
  const result = validatePath({
    leaf: own,
    intermediates: signed.filter((certificate) => certificate !== own),
    anchors: known === undefined ? anchors : [known],
    at: now,
    policy: RFC5280,
  });
  if (result.valid && result.path.length > 1) return result.path.slice(1);
  const detail = result.valid ? 'it is a root itself' : result.detail;
  if (known !== undefined && anchors.some(({ raw }) => !sameBytes(raw, known.raw))) {
    throw new WritError('conflict', `It does not validate under the root that relying parties know: ${detail}`, {
      remedy: 'Have it signed under the same root as the present intermediate.',
    });
  }
  throw refused(
    `it does not validate: ${detail}`,
    'Import one file with the certificate and everything above it, the self-signed root included.',
  );
}

/**
 * Path validation says of an ECDSA hash that is not that of the curve no more than that nobody has signed. `openssl` takes
 * SHA-256 for every curve unless told otherwise, so this is what goes wrong most often.
 */
function requireFittingHash({ issuer, signatureAlgorithm }: Certificate, certificates: readonly Certificate[]): void {
  const keys = certificates
    .filter(({ subject }) => sameBytes(subject.raw, issuer.raw))
    .map(({ spki }) => parsePublicKey(spki).algorithm);
  if (keys.length === 0 || keys.includes(keyAlgorithmOf(signatureAlgorithm))) return;
  throw refused(
    `it is signed with ${signatureAlgorithm}, but the key of its issuer is ${keys[0]}`,
    'An ECDSA key signs with the hash of its curve: P-256 with SHA-256, P-384 with SHA-384, P-521 with SHA-512.',
  );
}

interface Upstream {
  readonly authority: Authority;
  /** Recorded before, at an earlier import. */
  readonly known: boolean;
}

/** The authorities of somebody else, in the order of the path. */
function upstreamOf(path: readonly Certificate[], hierarchy: Hierarchy, { now, random }: ImportOptions): Upstream[] {
  const upstream: Upstream[] = [];
  for (const certificate of path.toReversed()) {
    const known = hierarchy.authorities.find((authority) => sameBytes(authority.certificate.raw, certificate.raw));
    const issuer = upstream[0]?.authority.id;
    const authority = known ?? {
      id: newId(now, random),
      kind: issuer === undefined ? 'root' : 'upstream',
      state: 'active',
      certificate,
      ...(issuer === undefined ? {} : { issuer }),
      signsUntil: 0,
      createdAt: now,
    };
    upstream.unshift({ authority, known: known !== undefined });
  }
  return upstream;
}

function refused(fault: string, remedy: string): WritError {
  return new WritError('bad_certificate', `The certificate cannot be imported: ${fault}.`, { field: 'CHAIN', remedy });
}
