import { WritError } from '../base/error.ts';

declare const checked: unique symbol;

/** The name of a trust domain, e.g. `agents.example.com`: text that `parseTrustDomain` has accepted. */
export type TrustDomain = string & { readonly [checked]: 'trust domain' };

/** SPIFFE-ID §2.1: a trust domain name has at most 255 bytes. */
const LONGEST = 255;

/**
 * Parses the name of a trust domain (SPIFFE-ID §2.1): 1 to 255 lower-case letters, digits, dots, dashes and
 * underscores, no scheme, no port, no percent-encoding. The standard asks no more, so an IPv4 literal passes here;
 * `nameConstraintFault` asks what an authority needs besides.
 *
 * Throws `bad_spiffe_id`; `field` says where the text came from.
 */
export function parseTrustDomain(text: string, field?: string): TrustDomain {
  const fault = trustDomainFault(text);
  if (fault === undefined) return text as TrustDomain;
  throw new WritError('bad_spiffe_id', `The trust domain ${fault}.`, {
    ...(field === undefined ? {} : { field }),
    remedy: 'Give a name like agents.example.com: lower-case letters, digits, dots and dashes.',
  });
}

/** What is wrong with a trust domain name, as the rest of a sentence; undefined when nothing is. */
export function trustDomainFault(text: string): string | undefined {
  if (text.length === 0) return 'is empty';
  if (text.length > LONGEST) return `is longer than ${LONGEST} bytes`;
  if (/[A-Z]/.test(text)) return 'has an upper-case letter';
  if (!/^[a-z0-9._-]+$/.test(text)) return 'has a character other than a-z, 0-9, dot, dash and underscore';
  return undefined;
}

/**
 * Whether an authority can be confined to this trust domain by URI and DNS name constraints. RFC 5280 §4.2.1.10 wants
 * a fully qualified host name in a URI constraint, and validators refuse or overlook IP addresses and single labels
 * there; the DNS constraint wants labels of RFC 1034 §3.5.
 *
 * Gives what is wrong, as the rest of a sentence that begins "The trust domain"; undefined when it is fit.
 */
export function nameConstraintFault(domain: TrustDomain): string | undefined {
  const labels = domain.split('.');
  if (domain.length > 253) return 'is longer than the 253 bytes of a host name';
  if (labels.some((label) => label.length === 0)) return 'has an empty label (two dots in a row, or one at an end)';
  // The last label tells: what ends in a number is an IPv4 literal to some parser or other, e.g. 10.1 or 0x7f.1.
  if (/^([0-9]+|0x[0-9a-f]*)$/.test(labels.at(-1)!)) return 'is an IP address or ends like one';
  if (labels.length < 2) return 'is a single label, which a URI name constraint cannot hold';
  if (labels.some((label) => label.length > 63)) return 'has a label of more than 63 bytes';
  if (domain.includes('_')) return 'has an underscore, which no host name may have';
  if (labels.some((label) => label.startsWith('-') || label.endsWith('-'))) return 'has a label with a dash at an end';
  return undefined;
}
