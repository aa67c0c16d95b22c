import type { Caller } from '../../base/access.ts';
import { demand } from '../../base/demand.ts';
import { WritError } from '../../base/error.ts';
import { sha256 } from '../../base/sha256.ts';
import { formatSerial } from '../../ca/certificate/serial.ts';
import { type DomainAuthority, endAuthority, markRevoked } from '../../ca/domain/domain.ts';
import { pushDomainList } from '../../ca/domain/list.ts';
import { certificateText, openDomainAuthority, recordDomain } from '../../ca/domain/make.ts';
import { addSigning } from '../../ca/domain/rotate.ts';
import { blocksKey, parseCause } from '../../ca/revocation-cause.ts';
import { newBatch } from '../../db/batch.ts';
import { committed } from '../../db/committed.ts';
import { whenAnchored } from '../../db/when-anchored.ts';
import { blockKey } from '../../registry/key-in-use.ts';
import { findExtension } from '../../x509/extension.ts';
import { decodeSubjectKeyIdentifier, SUBJECT_KEY_IDENTIFIER } from '../../x509/extensions/subject-key-identifier.ts';
import { type DomainParts, INSTALLATION, meansOf, stateOf } from './parts.ts';

/**
 * Revokes a subordinate authority of a further trust domain, or one that signs those, for ever: mark, entry, feed, anchor and the
 * list of the authority above are one commit. Where it is the one that signs now, another one follows it in that commit. One that is
 * revoked already is answered with its first time and cause.
 *
 * Throws `bad_request` for a cause that is not on the list and for a root, which no list can be about, `not_found`, `denied`,
 * `conflict`.
 */
export async function revokeDomainAuthority(
  caller: Caller,
  target: {
    readonly trustDomain: string;
    readonly authority: string;
    readonly cause?: string | undefined;
    readonly reason?: string | undefined;
  },
  parts: DomainParts,
): Promise<DomainAuthority> {
  const cause = parseCause(target);
  const { trustDomain } = target;
  demand(parts.authorize, {
    ...{ caller, action: 'domain.revoke', resource: INSTALLATION },
    context: { trustDomain, reason: cause },
  });
  const { reader, keyring } = parts;
  const state = await stateOf(trustDomain, parts);
  const { domain } = state;
  const found = requireRevocable(state.authorities, target.authority);
  if (found.revoked !== undefined) {
    await whenAnchored(parts.commit);
    return found;
  }
  const means = meansOf(parts, caller.id);
  const revoked = { at: means.now, cause };
  const batch = newBatch();
  markRevoked(batch, found.id, revoked);
  if (blocksKey(cause)) blockKey(batch, sha256(found.certificate.spki));
  if (found.state !== 'ended') endAuthority(batch, keyring, found);
  const { id, kind, certificate } = found;
  recordDomain(
    batch,
    'domain.revoked',
    domain,
    {
      ...{ caller: caller.id, authority: id, kind, cause, serial: formatSerial(certificate.serial) },
      // A restore of a backup that does not know of it has it from here.
      ...{ certificate: certificateText(found), issuer: found.issuer ?? '' },
    },
    [found],
    // By this relying parties know what it signed.
    [`issuer:${Buffer.from(keyOf(found)).toString('hex')}`],
  );
  const above = state.authorities.find((one) => one.id === found.issuer);
  if (above !== undefined && above.state !== 'ended' && above.certificate.notAfter > means.now) {
    const opened = await openDomainAuthority(reader, keyring, above);
    const authorities = state.authorities.map((one) => (one === found ? { ...one, revoked } : one));
    await pushDomainList(batch, opened, { authorities, lists: state.lists }, means);
    if (found.kind === 'intermediate' && found.state === 'active' && above.state === 'active') {
      await addSigning(batch, opened, domain, means, found);
    }
  }
  batch.anchored = true;
  batch.bumpsEpoch = true;
  committed(await parts.commit(batch));
  return { ...found, state: 'ended', revoked };
}

function requireRevocable(authorities: readonly DomainAuthority[], id: string): DomainAuthority {
  const found = authorities.find((one) => one.id === id);
  if (found === undefined) {
    throw new WritError('not_found', 'There is no such authority in this trust domain.', {
      field: '{authority}',
      remedy: 'See "writ domain show".',
    });
  }
  if (found.kind !== 'root') return found;
  throw new WritError('bad_request', 'A root is on no list: it cannot be revoked.', {
    field: '{authority}',
    remedy: 'Have another one published in its place: "writ domain rotate --root --at-once".',
  });
}

function keyOf({ certificate }: DomainAuthority): Uint8Array {
  return decodeSubjectKeyIdentifier(findExtension(certificate.extensions, SUBJECT_KEY_IDENTIFIER)!.value);
}
