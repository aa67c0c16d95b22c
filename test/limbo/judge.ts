import { isWritError } from '../../src/base/error.ts';
import { decodePem } from '../../src/der/pem.ts';
import { type Certificate, parseCertificate } from '../../src/x509/certificate.ts';
import { parseCrl } from '../../src/x509/crl.ts';
import type { KeyUsage } from '../../src/x509/extensions/key-usage.ts';
import { RFC5280, WEBPKI } from '../../src/x509/path/policy.ts';
import type { ReferenceName } from '../../src/x509/path/reference-name.ts';
import { validatePath } from '../../src/x509/path/validate.ts';

/** The fields of a case that say what to validate. Its id, features and description say nothing to the validator. */
export interface LimboCase {
  readonly id: string;
  readonly expected_result: 'SUCCESS' | 'FAILURE';
  readonly validation_kind: 'SERVER' | 'CLIENT';
  readonly trusted_certs: readonly string[];
  readonly untrusted_intermediates: readonly string[];
  readonly peer_certificate: string;
  readonly validation_time: string | null;
  readonly key_usage: readonly KeyUsage[];
  readonly extended_key_usage: readonly ('serverAuth' | 'clientAuth')[];
  readonly expected_peer_name: LimboName | null;
  readonly expected_peer_names: readonly LimboName[];
  readonly max_chain_depth: number | null;
  readonly crls: readonly string[];
}

interface LimboName {
  readonly kind: 'DNS' | 'IP' | 'RFC822';
  readonly value: string;
}

export interface Verdict {
  readonly result: 'SUCCESS' | 'FAILURE';
  /** For a failure: the validator's reason, or `unreadable` when an input could not be parsed. */
  readonly reason: string;
  readonly detail: string;
}

const KINDS = { DNS: 'dns', IP: 'ip', RFC822: 'email' } as const;

/** Namespaces whose cases state the rules of the CA/Browser Forum or come from the public web. */
const PUBLIC_WEB = ['webpki', 'online'];

/** Validates the chain of a case. `namespace`, the first part of the case's id, chooses the policy and nothing else. */
export function judge(given: LimboCase, namespace: string): Verdict {
  try {
    return validate(given, namespace);
  } catch (error) {
    if (!isWritError(error)) throw error;
    return { result: 'FAILURE', reason: 'unreadable', detail: error.message };
  }
}

function validate(given: LimboCase, namespace: string): Verdict {
  const purpose = given.validation_kind === 'CLIENT' ? 'client' : 'server';
  const [keyUsage] = given.key_usage;
  const request = {
    leaf: parseCertificate(decodePem(given.peer_certificate, 'CERTIFICATE')),
    intermediates: given.untrusted_intermediates.flatMap(readable),
    anchors: given.trusted_certs.flatMap(readable),
    at: given.validation_time === null ? Date.now() : Date.parse(given.validation_time),
    policy: PUBLIC_WEB.includes(namespace) ? WEBPKI : RFC5280,
    purpose,
    crls: given.crls.map((pem) => parseCrl(decodePem(pem, 'X509 CRL'))),
    ...(keyUsage && { keyUsage }),
    ...(given.max_chain_depth !== null && { maxDepth: given.max_chain_depth }),
  } as const;
  const expected = [...(given.expected_peer_name ? [given.expected_peer_name] : []), ...given.expected_peer_names];
  const names = expected.map(({ kind, value }): ReferenceName => ({ kind: KINDS[kind], value }));
  const requests = names.length === 0 ? [request] : names.map((name) => ({ ...request, name }));
  for (const each of requests) {
    const result = validatePath(each);
    if (!result.valid) return { result: 'FAILURE', reason: result.reason, detail: result.detail };
  }
  return { result: 'SUCCESS', reason: '', detail: '' };
}

/** What cannot be parsed cannot be built with; it does no harm to a path that does without. */
function readable(pem: string): Certificate[] {
  try {
    return [parseCertificate(decodePem(pem, 'CERTIFICATE'))];
  } catch (error) {
    if (isWritError(error)) return [];
    throw error;
  }
}
