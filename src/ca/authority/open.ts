import { WritError } from '../../base/error.ts';
import type { Reader } from '../../db/database.ts';
import { type Keyring, openKey } from '../../keys/keyring.ts';
import { localSigner } from '../../keys/local.ts';
import type { TrustDomain } from '../../spiffe-id/trust-domain.ts';
import { AUTHORITY_KEY, type Authority } from '../authority.ts';
import { type Issuer, openIssuer } from '../issuer.ts';

/** Opens the sealed key of an authority. Throws `not_found` when it is offline, not ours, or deleted. */
export async function openAuthority(
  reader: Reader,
  keyring: Keyring,
  authority: Authority,
  trustDomain: TrustDomain,
): Promise<Issuer> {
  if (authority.keyId === undefined) {
    throw new WritError('not_found', `The key of the ${authority.kind} authority is not on this machine.`, {
      remedy: 'See "writ ca due" for what needs it and how to bring it.',
    });
  }
  const key = await openKey(reader, keyring, { id: authority.keyId, purpose: AUTHORITY_KEY });
  return openIssuer(authority, trustDomain, localSigner(key));
}
