import { WritError } from '../../base/error.ts';
import { encodeTbsCertList, type RevokedCertificate } from '../../x509/crl.ts';
import type { Extension } from '../../x509/extension.ts';
import {
  AUTHORITY_KEY_IDENTIFIER,
  encodeAuthorityKeyIdentifier,
} from '../../x509/extensions/authority-key-identifier.ts';
import { encodeCrlDistributionPoints } from '../../x509/extensions/crl-distribution-points.ts';
import { CRL_NUMBER, DELTA_CRL_INDICATOR, encodeCrlNumber } from '../../x509/extensions/crl-number.ts';
import { FRESHEST_CRL } from '../../x509/extensions/freshest-crl.ts';
import {
  encodeIssuingDistributionPoint,
  ISSUING_DISTRIBUTION_POINT,
} from '../../x509/extensions/issuing-distribution-point.ts';
import { assembleSigned } from '../../x509/signed.ts';
import { BACKDATING, wholeSecond } from '../certificate/prepare.ts';
import { Issuer } from '../issuer.ts';

export interface CrlRequest {
  /** Greater than that of any list of this issuer before; `nextCrlNumber` gives one. */
  readonly number: number;
  /** Seconds for which the list is good. */
  readonly lifetime: number;
  /** What this issuer signed and is revoked; entries, or their encodings one after the other. */
  readonly revoked: Iterable<RevokedCertificate> | Uint8Array;
  /** Milliseconds: the time of the latest entry. A list is never older than what is in it. Default: there is none. */
  readonly latest?: number;
  /** Absent: the list is about everything that the issuer signed. */
  readonly shard?: ShardScope;
  /** Milliseconds. */
  readonly now: number;
}

/** What makes a list one of a shard: the URL that its certificates name, and nothing of it is about any other. */
interface ShardScope {
  readonly url: string;
  /** In a complete list: where its delta lies. */
  readonly deltaUrl?: string;
  /** Makes it a delta: the number of the complete list that it adds to. */
  readonly base?: number;
}

export interface SignedCrl {
  readonly der: Uint8Array;
  readonly number: number;
  /** Milliseconds, whole seconds. */
  readonly thisUpdate: number;
  readonly nextUpdate: number;
}

/**
 * Signs the revocation list of one issuer over all that it signed (RFC 5280 §5). Nothing else in the product signs a
 * list. Rejects with `signer_failed` when the key cannot be used, with `expired` when the issuer has ended: no
 * validator would take its list.
 */
export async function signCrl(issuer: Issuer, request: CrlRequest): Promise<SignedCrl> {
  const { number, lifetime, revoked, latest = 0, shard, now } = request;
  if (now > issuer.notAfter) {
    throw new WritError('expired', 'The authority whose list was to be signed has expired.');
  }
  const thisUpdate = Math.max(issuer.notBefore, wholeSecond(now - BACKDATING), wholeSecond(latest));
  const nextUpdate = Math.min(wholeSecond(now + lifetime * 1000), issuer.notAfter);
  const tbs = encodeTbsCertList({
    algorithm: issuer.algorithm,
    issuer: issuer.name,
    thisUpdate,
    nextUpdate,
    revoked,
    extensions: [
      {
        oid: AUTHORITY_KEY_IDENTIFIER,
        critical: false,
        value: encodeAuthorityKeyIdentifier(issuer.keyIdentifier),
      },
      { oid: CRL_NUMBER, critical: false, value: encodeCrlNumber(number) },
      ...(shard === undefined ? [] : shardExtensions(shard)),
    ],
  });
  const [signature] = await Issuer.signerOf(issuer).sign([tbs]);
  if (signature === undefined) throw new WritError('signer_failed', 'The signer gave no signature.');
  return { der: assembleSigned(tbs, issuer.algorithm, signature), number, thisUpdate, nextUpdate };
}

/** RFC 5280 §5.2.4 to §5.2.6: a delta has the scope of its base, and only the base says where the delta is. */
function shardExtensions({ url, deltaUrl, base }: ShardScope): Extension[] {
  const point = { name: { fullName: [{ kind: 'uri', value: url }] } } as const;
  const extensions: Extension[] = [
    { oid: ISSUING_DISTRIBUTION_POINT, critical: true, value: encodeIssuingDistributionPoint(point) },
  ];
  if (base !== undefined) extensions.push({ oid: DELTA_CRL_INDICATOR, critical: true, value: encodeCrlNumber(base) });
  else if (deltaUrl !== undefined) {
    const value = encodeCrlDistributionPoints([{ kind: 'uri', value: deltaUrl }]);
    extensions.push({ oid: FRESHEST_CRL, critical: false, value });
  }
  return extensions;
}

/**
 * The number of the next list: the time in milliseconds, so that it never goes back although an older backup was
 * restored, or one more than the list before, should the clock stand behind that.
 */
export function nextCrlNumber(last: number | undefined, now: number): number {
  return Math.max((last ?? 0) + 1, now);
}
