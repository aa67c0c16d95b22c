import { WritError } from '../../base/error.ts';
import { type PublishedBundle, readBundle } from '../../ca/bundle/bundle.ts';
import { rotateSvidKey } from '../../ca/bundle/svid-keys.ts';
import { SVID_KEYS, tokenSigner } from '../../ca/jwt/key.ts';
import { EpochCache } from '../../db/epoch-cache.ts';
import { issueJwtSvid, type JwtSvidParts } from '../../issuance/jwt-svid.ts';
import { jwtSvidOperations as routes } from '../../rest/jwt-svids.ts';
import type { Operation } from '../../rest/operation.ts';
import { forCaller } from './for-caller.ts';
import type { ThreadParts } from './thread-parts.ts';

/** Instances whose newest certificate one thread remembers as good. */
const GOOD = 50_000;

/** JWT-SVIDs, and where those who verify them find the keys. */
export function jwtSvidOperations(parts: ThreadParts, issuer: () => string): Operation[] {
  const { reader, commit, clock, random, keyring, policy, epoch } = parts;
  const issuing: JwtSvidParts = {
    ...parts.issuance,
    issuer,
    tokenKey: tokenSigner(reader, keyring, clock.now, SVID_KEYS),
    goodSerials: new EpochCache(epoch, GOOD),
  };
  // The flow holds the policy version itself, since it may go on under another.
  const acting = forCaller(issuing, parts, { policy: false });
  const rotating = forCaller({ reader, commit, clock, random, keyring, authorize: policy.authorize }, parts, {
    policy: true,
  });
  const bundle = publishedBundle(parts);
  return routes({
    issuer,
    issue: async (caller, request) => issueJwtSvid(caller, request, await acting(caller)),
    rotateKey: async (caller, wanted, options) => rotateSvidKey(caller, wanted, await rotating(caller), options),
    async keys() {
      const { keys } = await bundle();
      return keys.filter(({ use }) => use === 'jwt-svid').map((key) => ({ ...key, use: 'sig' }));
    },
  });
}

/** The bundle as it was published last, read again when the epoch has moved. */
export function publishedBundle({
  reader,
  epoch,
}: Pick<ThreadParts, 'reader' | 'epoch'>): () => Promise<PublishedBundle> {
  const kept = new EpochCache<PublishedBundle>(epoch, 1);
  return () =>
    kept.read('', async () => {
      const bundle = await readBundle(reader);
      if (bundle !== undefined) return bundle;
      throw new WritError('unavailable', 'No bundle has been published yet.', { remedy: 'Ask again in a minute.' });
    });
}
