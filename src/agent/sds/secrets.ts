import { encodePem } from '../../der/pem.ts';
import type { Codec } from '../../grpc/codec.ts';
import type { Trust } from '../trust.ts';
import type { Child } from '../workloads/child.ts';
import type { Secret, SpiffeValidator } from './messages.ts';

const VALIDATOR_TYPE = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig';
/** Names that are known without knowing an id. */
const [DEFAULT, ROOTS, ALL] = ['default', 'ROOTCA', 'ALL'];

/**
 * What a caller may have of what it names; all of it where it names nothing. What it may not have is left out. It names
 *
 * - a certificate with key: `default`, a SPIFFE ID, one without its last segment (every instance has another), or a hint;
 * - what others are judged by: `ROOTCA` or the SPIFFE ID of a trust domain, or `ALL`, each domain by its own roots.
 */
export function secretsOf(
  { trust, validators }: { readonly trust: Trust; readonly validators: Codec<SpiffeValidator> },
  children: readonly Child[],
  names: readonly string[],
): readonly Secret[] {
  const domains = [...new Set([trust.trustDomain, ...children.flatMap(({ entry }) => entry.federates_with)])];
  const wanted =
    names.length > 0 ? [...new Set(names)] : [...children.map(({ spiffeId }) => spiffeId), ...domains.map(idOfDomain)];
  return wanted.flatMap((name): Secret[] => {
    const domain = name === ROOTS ? trust.trustDomain : domains.find((one) => idOfDomain(one) === name);
    if (domain !== undefined) {
      const bundle = trust.of(domain);
      return bundle === undefined
        ? []
        : [{ name, validation_context: { trusted_ca: { inline_bytes: pemOf(bundle.x509) } } }];
    }
    if (name === ALL) {
      const typed_config = { type_url: VALIDATOR_TYPE, value: validators.encode(validatorOf(trust, domains)) };
      const custom_validator_config = { name: 'envoy.tls.cert_validator.spiffe', typed_config };
      return [{ name, validation_context: { custom_validator_config } }];
    }
    const child = name === DEFAULT ? children[0] : children.find((one) => isCalled(one, name));
    if (child === undefined) return [];
    const { key, certificate, chain } = child.credential;
    return [
      {
        name,
        tls_certificate: {
          certificate_chain: { inline_bytes: Buffer.from([certificate, ...chain].join('')) },
          private_key: { inline_bytes: Buffer.from(key.export({ type: 'pkcs8', format: 'pem' }) as string) },
        },
      },
    ];
  });
}

function validatorOf(trust: Trust, domains: readonly string[]): SpiffeValidator {
  return {
    trust_domains: domains.flatMap((name) => {
      const bundle = trust.of(name);
      return bundle === undefined ? [] : [{ name, trust_bundle: { inline_bytes: pemOf(bundle.x509) } }];
    }),
  };
}

function isCalled({ spiffeId, entry }: Child, name: string): boolean {
  return name === spiffeId || name === entry.hint || name === spiffeId.slice(0, spiffeId.lastIndexOf('/'));
}

function idOfDomain(name: string): string {
  return `spiffe://${name}`;
}

/** PEM of DER certificates that stand one behind the other. */
function pemOf(der: Uint8Array): Uint8Array {
  const texts: string[] = [];
  for (let at = 0; at < der.length; ) {
    const length = lengthOf(der, at);
    texts.push(encodePem('CERTIFICATE', der.subarray(at, at + length)));
    at += length;
  }
  return Buffer.from(texts.join(''));
}

/** Octets of a certificate: its outer SEQUENCE has a length of two octets, or more. */
function lengthOf(der: Uint8Array, at: number): number {
  const first = der[at + 1]!;
  if (first < 0x80) return 2 + first;
  let length = 0;
  for (let n = 0; n < (first & 0x7f); n++) length = length * 256 + der[at + 2 + n]!;
  return 2 + (first & 0x7f) + length;
}
