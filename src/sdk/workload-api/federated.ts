import { WritError } from '../../base/error.ts';
import { decodePem } from '../../der/pem.ts';
import { type Certificate, parseCertificate } from '../../x509/certificate.ts';
import { RFC5280 } from '../../x509/path/policy.ts';
import { validatePath } from '../../x509/path/validate.ts';
import type { Federation } from '../identity/any-identity.ts';
import { spiffeIdOf } from '../peer/peer.ts';

/**
 * Roots (PEM) by trust domain as TLS believes them. TLS takes any of them for any name; so each peer's chain is verified once
 * more, by the roots of the trust domain that it names and no others (SPIFFE Federation §7.3).
 */
export function federationOf(bundles: ReadonlyMap<string, readonly string[]>): Federation {
  const anchors = new Map<string, readonly Certificate[]>();
  const anchorsOf = (trustDomain: string): readonly Certificate[] => {
    const known = anchors.get(trustDomain);
    if (known !== undefined) return known;
    const parsed = (bundles.get(trustDomain) ?? []).map((pem) => parseCertificate(decodePem(pem, 'CERTIFICATE')));
    anchors.set(trustDomain, parsed);
    return parsed;
  };
  return {
    roots: [...bundles.values()].flat(),
    fault(chain, purpose) {
      try {
        const [leaf, ...intermediates] = chain.map(parseCertificate);
        if (leaf === undefined) return refused('shows no certificate');
        const { trustDomain } = spiffeIdOf(leaf.raw);
        const path = validatePath({
          ...{ leaf, intermediates, anchors: anchorsOf(trustDomain), at: Date.now(), policy: RFC5280, purpose },
          keyUsage: 'digitalSignature',
        });
        return path.valid ? undefined : refused(`is not of the trust domain that it names: ${path.detail}`);
      } catch (error) {
        return error as Error;
      }
    },
  };
}

function refused(how: string): WritError {
  return new WritError('bad_certificate', `The peer ${how}.`, { remedy: 'Ask who runs it.' });
}
