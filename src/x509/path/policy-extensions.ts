import { readOid } from '../../der/oid.ts';
import { enterSequence, fail, finish, openDer, peekTag, readSmallInteger } from '../../der/reader.ts';
import { contextPrimitive } from '../../der/tag.ts';

/** The extensions that only path validation reads; Writ never issues them. */
export const POLICY_MAPPINGS = '2.5.29.33';
export const POLICY_CONSTRAINTS = '2.5.29.36';
export const INHIBIT_ANY_POLICY = '2.5.29.54';

/** RFC 5280 §4.2.1.5. Policies as dotted text. */
export interface PolicyMapping {
  readonly issuerPolicy: string;
  readonly subjectPolicy: string;
}

/** RFC 5280 §4.2.1.11. Each number is how many certificates may still follow before the rule holds. */
export interface PolicyConstraints {
  readonly requireExplicitPolicy: number | undefined;
  readonly inhibitPolicyMapping: number | undefined;
}

export function decodePolicyMappings(value: Uint8Array): PolicyMapping[] {
  const outer = openDer(value, 'policyMappings');
  const list = enterSequence(outer, 'value');
  finish(outer);
  const mappings: PolicyMapping[] = [];
  while (list.at < list.end) {
    const fields = enterSequence(list, 'mapping');
    mappings.push({
      issuerPolicy: readOid(fields, 'issuerDomainPolicy'),
      subjectPolicy: readOid(fields, 'subjectDomainPolicy'),
    });
    finish(fields);
  }
  if (mappings.length === 0) fail(list, '', 'empty');
  return mappings;
}

/** At least one of the two is there (RFC 5280 §4.2.1.11). */
export function decodePolicyConstraints(value: Uint8Array): PolicyConstraints {
  const outer = openDer(value, 'policyConstraints');
  const fields = enterSequence(outer, 'value');
  finish(outer);
  const skipCerts = (number: number, label: string): number | undefined => {
    const tag = contextPrimitive(number);
    return peekTag(fields) === tag ? readSmallInteger(fields, label, undefined, tag) : undefined;
  };
  const requireExplicitPolicy = skipCerts(0, 'requireExplicitPolicy');
  const inhibitPolicyMapping = skipCerts(1, 'inhibitPolicyMapping');
  finish(fields);
  if (requireExplicitPolicy === undefined && inhibitPolicyMapping === undefined) fail(fields, '', 'empty');
  return { requireExplicitPolicy, inhibitPolicyMapping };
}

/** RFC 5280 §4.2.1.14. */
export function decodeInhibitAnyPolicy(value: Uint8Array): number {
  const outer = openDer(value, 'inhibitAnyPolicy');
  const skipCerts = readSmallInteger(outer, 'value');
  finish(outer);
  return skipCerts;
}
