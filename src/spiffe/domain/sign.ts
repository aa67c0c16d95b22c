import type { Caller } from '../../base/access.ts';
import { demand } from '../../base/demand.ts';
import { isWritError, WritError } from '../../base/error.ts';
import { sha256 } from '../../base/sha256.ts';
import { activeOf } from '../../ca/authority.ts';
import {
  type Domain,
  type DomainAuthority,
  insertDomainAuthority,
  requireOpen,
  requireRoom,
  type SubordinateProfile,
} from '../../ca/domain/domain.ts';
import { certificateText, openDomainAuthority, recordDomain, signSubordinate } from '../../ca/domain/make.ts';
import { newBatch } from '../../db/batch.ts';
import { committed } from '../../db/committed.ts';
import { holdKey, keyHolder } from '../../registry/key-in-use.ts';
import { parseSpiffeId } from '../../spiffe-id/spiffe-id.ts';
import type { TrustDomain } from '../../spiffe-id/trust-domain.ts';
import { type Csr, parseCsr, verifyCsr } from '../../x509/csr.ts';
import { findExtension } from '../../x509/extension.ts';
import { decodeSubjectAltName, SUBJECT_ALT_NAME } from '../../x509/extensions/subject-alt-name.ts';
import { type DomainParts, INSTALLATION, known, meansOf, type ShownDomain } from './parts.ts';

/**
 * Signs a subordinate authority of a further trust domain for the key in a request (DER), within the profile that was
 * agreed to. Nothing of the request is taken but the key; one that asks for a name of another trust domain, ours above all, is
 * refused and that is recorded. It is on the ledger before anybody has it.
 *
 * Throws `not_found`, `denied`, `bad_csr`, `bad_request`, `inactive`, `key_in_use`, `conflict`.
 */
export async function signDomainAuthority(
  caller: Caller,
  input: { readonly trustDomain: string; readonly csr: Uint8Array; readonly lifetime?: number },
  parts: DomainParts,
): Promise<{ readonly authority: DomainAuthority; readonly above: readonly DomainAuthority[] }> {
  const { reader } = parts;
  const csr = parseCsr(input.csr);
  verifyCsr(csr);
  const { domain, authorities } = await known(input.trustDomain, parts);
  const { profile, trustDomain } = domain;
  const lifetime = input.lifetime ?? profile.mostSeconds;
  demand(parts.authorize, {
    ...{ caller, action: 'domain.sign', resource: INSTALLATION },
    context: { trustDomain, lifetimeSeconds: lifetime },
  });
  try {
    if (domain.state === 'closed')
      throw new WritError('inactive', 'The trust domain is closed: nothing is signed in it.');
    requireNames(csr, trustDomain);
    requireFit(csr, lifetime, profile);
    await requireForeignKey(csr, { domain, authorities }, parts);
  } catch (error) {
    await recordRefused(error, caller, trustDomain, parts);
    throw error;
  }
  const signing = activeOf(authorities, 'intermediate');
  const root = authorities.find(({ id }) => id === signing?.issuer);
  if (signing === undefined || root === undefined) {
    throw new WritError('unavailable', 'Nothing signs in this trust domain at the moment.', {
      remedy: 'Repeat it in a minute; the log says why if it stays so.',
    });
  }
  const above = [root, signing];
  const means = meansOf(parts, caller.id);
  const opened = await openDomainAuthority(reader, parts.keyring, signing);
  // From here on it exists in memory, and nobody has seen it.
  const authority = await signSubordinate(opened, { above, key: csr.publicKey, lifetime }, means);
  const batch = newBatch();
  requireOpen(batch, domain);
  requireRoom(batch, domain, signing.id, means.now);
  holdKey(batch, sha256(csr.publicKey.spki), holderIn(domain), {
    ...{ now: means.now, keepUntil: authority.certificate.notAfter },
  });
  insertDomainAuthority(batch, authority);
  const body = { caller: caller.id, authority: authority.id, certificate: certificateText(authority) };
  recordDomain(batch, 'domain.signed', domain, body, [authority]);
  committed(await parts.commit(batch));
  return { authority, above };
}

/** What a request asks for is not granted, but says what its sender means to be. */
function requireNames({ extensions }: Csr, trustDomain: TrustDomain): void {
  const names = findExtension(extensions, SUBJECT_ALT_NAME);
  for (const name of names === undefined ? [] : decodeSubjectAltName(names.value)) {
    if (name.kind === 'uri' && isOf(name.value, trustDomain)) continue;
    throw new WritError('denied', 'The request asks for a name that is not that of the trust domain.', {
      field: '/csr',
      remedy: `Ask for spiffe://${trustDomain} or for no name.`,
    });
  }
}

function isOf(uri: string, trustDomain: TrustDomain): boolean {
  try {
    const id = parseSpiffeId(uri.replace(/\/$/, ''));
    return id.trustDomain === trustDomain && id.segments.length === 0;
  } catch (error) {
    if (isWritError(error)) return false;
    throw error;
  }
}

function requireFit({ publicKey }: Csr, lifetime: number, { mostSeconds, keys }: SubordinateProfile): void {
  if (!keys.includes(publicKey.algorithm)) {
    throw new WritError('bad_csr', `The profile takes no keys of kind ${publicKey.algorithm}.`, {
      field: '/csr',
      remedy: `Make a key of kind ${keys.join(', ')}.`,
    });
  }
  if (Number.isInteger(lifetime) && lifetime >= 60 && lifetime <= mostSeconds) return;
  throw new WritError('bad_request', 'The lifetime is not one that the profile gives.', {
    field: '/lifetime_seconds',
    remedy: `Ask for a whole number of seconds from 60 to ${mostSeconds}.`,
  });
}

/** No key of ours, none above it, and none that somebody else has or that was withdrawn is that of a subordinate authority. */
async function requireForeignKey(
  { publicKey }: Csr,
  { domain, authorities }: ShownDomain,
  { own, reader, clock }: DomainParts,
): Promise<void> {
  const above = authorities.filter(({ kind }) => kind !== 'subordinate').map(({ certificate }) => certificate.spki);
  const taken = [...(await own()).keys, ...above].some((spki) => Buffer.compare(spki, publicKey.spki) === 0);
  const holder = await keyHolder(reader, sha256(publicKey.spki), clock.now());
  if (!taken && (holder === undefined || holder === holderIn(domain))) return;
  throw new WritError('key_in_use', 'The key is that of somebody else, or was withdrawn for good.', {
    field: '/csr',
    remedy: 'Make a new key pair where the subordinate authority runs.',
  });
}

/** Within one trust domain a key may be certified again. */
function holderIn({ trustDomain }: Domain): string {
  return `domain:${trustDomain}`;
}

/** A refusal of what a request asks for; of who asks, policy has one of its own. */
async function recordRefused(
  error: unknown,
  { id: by }: Caller,
  trustDomain: TrustDomain,
  { recordRefusal }: DomainParts,
): Promise<void> {
  if (!isWritError(error)) return;
  await recordRefusal({
    ...{ type: 'access.refused', by, code: error.code, subjects: [`domain:${trustDomain}`] },
    body: { action: 'domain.sign', reasons: [error.message] },
  });
}
