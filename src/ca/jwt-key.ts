import type { Random } from '../base/random.ts';
import type { Batch } from '../db/batch.ts';
import type { Reader } from '../db/database.ts';
import { type PublicJwk, publicJwk } from '../jwt/jwk.ts';
import { generateKey } from '../keys/generate.ts';
import { addKey, type Keyring, openKey } from '../keys/keyring.ts';
import { localSigner } from '../keys/local.ts';
import type { Signer } from '../keys/signer.ts';

/** The name under which the key is sealed. Stored; never changes. */
const NAME = { id: 'jwt-signing', purpose: 'jwt' };

/**
 * Makes the key that signs tokens and pushes it, sealed: P-256, since ES256 is what every receiver can verify. It is for
 * tokens alone: no authority's key ever signs one, and it signs no certificate. Gives its public half.
 */
export async function addJwtKey(
  batch: Batch,
  keyring: Keyring,
  { now, random }: { readonly now: number; readonly random: Random },
): Promise<PublicJwk> {
  const key = await generateKey('ecdsa-p256');
  addKey(batch, keyring, { ...NAME, key, now, random });
  return publicJwk(localSigner(key).spki);
}

/** The signer of tokens. Throws as `openKey`. */
export async function openJwtSigner(reader: Reader, keyring: Keyring): Promise<Signer> {
  return localSigner(await openKey(reader, keyring, NAME));
}

/** The public keys under which our tokens are verified, as members of a JWK Set; empty before the first start. */
export async function publishedJwks(reader: Reader): Promise<readonly PublicJwk[]> {
  const rows = await reader.all('SELECT spki FROM sealed_key WHERE purpose = ? ORDER BY created_at, id', [
    NAME.purpose,
  ]);
  return rows.map((row) => publicJwk(row['spki'] as Uint8Array));
}
