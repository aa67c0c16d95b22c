import type { Log } from '../../base/log.ts';
import type { AddressRule } from '../../http/outbound-address.ts';
import { fetchBundle } from '../../spiffe/fetch-bundle.ts';
import { authoritiesOf, pollFederations } from '../../spiffe/poll.ts';
import { ownTrust } from './federation-operations.ts';
import type { ThreadParts } from './thread-parts.ts';

/** How often it is looked whether a bundle is due. It costs a look into an index. */
const LOOK_MS = 1000;

/** Fetches bundles of other trust domains for as long as the server runs. Gives a function that ends it. */
export function startFederation(
  parts: ThreadParts,
  rules: { readonly allowed: AddressRule; readonly roots?: readonly string[] },
  log: Log,
): () => Promise<void> {
  const { reader, commit, clock, random } = parts;
  const fetching = {
    ...rules,
    authorities: (domain: Parameters<typeof authoritiesOf>[1]) => authoritiesOf(reader, domain),
    now: clock.now,
  };
  let busy: Promise<unknown> | undefined;
  const look = (): void => {
    busy ??= pollFederations({
      ...{ reader, commit, clock, log },
      own: ownTrust(parts),
      fetch: (federation) => fetchBundle(federation, fetching),
      jitter: () => random(1)[0]! / 256,
    })
      .catch((error: unknown) => log.error('bundles not fetched', { error: (error as Error).message }))
      .finally(() => {
        busy = undefined;
      });
  };
  const timer = setInterval(look, LOOK_MS);
  return async () => {
    clearInterval(timer);
    await busy;
  };
}
