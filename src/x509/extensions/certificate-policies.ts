import { readOid } from '../../der/oid.ts';
import { enterSequence, fail, finish, openSequence, peekTag, readAny } from '../../der/reader.ts';
import { oid, sequence } from '../../der/writer.ts';

export const CERTIFICATE_POLICIES = '2.5.29.32';

export const ANY_POLICY = '2.5.29.32.0';

/** RFC 5280 §4.2.1.4. */
export interface PolicyInformation {
  /** Dotted text. */
  readonly policy: string;
  readonly qualifiers: readonly PolicyQualifier[];
}

interface PolicyQualifier {
  /** Dotted text. */
  readonly id: string;
  /** The qualifier's encoding, tag and length included. */
  readonly value: Uint8Array;
}

/** The policies, at least one, none twice. */
export function decodeCertificatePolicies(value: Uint8Array): PolicyInformation[] {
  const list = openSequence(value, 'certificatePolicies');
  const policies = new Map<string, PolicyInformation>();
  while (list.at < list.end) {
    const start = list.at;
    const fields = enterSequence(list, 'policyInformation');
    const policy = readOid(fields, 'policyIdentifier');
    const qualifiers: PolicyQualifier[] = [];
    if (peekTag(fields) >= 0) {
      const inner = enterSequence(fields, 'policyQualifiers');
      while (inner.at < inner.end) {
        const qualifier = enterSequence(inner, 'policyQualifierInfo');
        const id = readOid(qualifier, 'policyQualifierId');
        qualifiers.push({ id, value: readAny(qualifier, 'qualifier') });
        finish(qualifier);
      }
      if (qualifiers.length === 0) fail(inner, '', 'empty');
    }
    finish(fields);
    if (policies.has(policy)) fail(list, '', 'a policy that occurs twice', start);
    policies.set(policy, { policy, qualifiers });
  }
  if (policies.size === 0) fail(list, '', 'empty');
  return [...policies.values()];
}

/** Policies without qualifiers, as RFC 5280 §4.2.1.4 recommends. */
export function encodeCertificatePolicies(policies: readonly string[]): Uint8Array {
  return sequence(...policies.map((policy) => sequence(oid(policy))));
}
