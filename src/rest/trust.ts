import { createHash } from 'node:crypto';
import { type Authority, rootsOf } from '../ca/authority.ts';
import type { SpiffeBundle } from '../ca/bundle/bundle.ts';
import { anchorsPem } from '../ca/bundle/pem.ts';
import { encodePem } from '../der/pem.ts';
import type { Reply } from '../http/route.ts';
import type * as wire from '../wire/trust.ts';
import { trust } from '../wire/trust.ts';
import { PEM_TYPE } from './media-types.ts';
import { entityTag, type Nothing, type Operation, operation } from './operation.ts';
import { timeText } from './render.ts';

/** What relying parties are to trust. */
export interface TrustSource {
  readonly trustDomain: string;
  /** As this process has them now; among them at least one root. */
  authorities(): readonly Authority[];
  /** As it was published last. */
  bundle(): Promise<SpiffeBundle>;
}

const CACHE = 'public, max-age=300';

export function trustOperations(source: TrustSource): Operation[] {
  const document = (
    id: string,
    path: string,
    summary: string,
    type: string,
    body: () => string | Promise<string>,
  ): Operation =>
    operation<Nothing, Nothing, Nothing, Reply>({
      id,
      method: 'GET',
      path,
      access: 'public',
      summary,
      raw: type,
      async handle() {
        const text = await body();
        return { status: 200, type, body: text, cache: CACHE, etag: entityTag(text) };
      },
    });
  return [
    operation({
      id: 'getTrust',
      method: 'GET',
      path: '/v1/trust',
      access: 'public',
      summary: 'The trust domain and its roots.',
      answer: trust,
      cache: CACHE,
      handle: () => trustAnswer(source),
    }),
    document('getRoot', '/v1/trust/root.pem', 'The root that join tokens pin.', PEM_TYPE, () =>
      encodePem('CERTIFICATE', rootsOf(source.authorities())[0]!.certificate.raw),
    ),
    document('getBundle', '/v1/trust/bundle.pem', 'All roots in use.', PEM_TYPE, () =>
      anchorsPem(source.authorities()),
    ),
    document(
      'getSpiffeBundle',
      '/v1/trust/bundle.json',
      'All roots in use and the keys of JWT-SVIDs, as a SPIFFE bundle.',
      // SPIFFE Federation §5.2.1.3 and §5.2.2.3.
      'application/json',
      async () => JSON.stringify(await source.bundle()),
    ),
  ];
}

function trustAnswer(source: TrustSource): wire.Trust {
  return {
    trust_domain: source.trustDomain,
    roots: rootsOf(source.authorities()).map(({ certificate }) => ({
      fingerprint: createHash('sha256').update(certificate.raw).digest('hex'),
      certificate: encodePem('CERTIFICATE', certificate.raw),
      not_after: timeText(certificate.notAfter),
    })),
  };
}
