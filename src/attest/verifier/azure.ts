import { isWritError } from '../../base/error.ts';
import type { AzureEvidence } from '../../wire/attestation.ts';
import type { AzureParameters } from '../../wire/attestor.ts';
import { azureNonce } from '../../wire/bound-octets.ts';
import type { Certificate } from '../../x509/certificate.ts';
import { findExtension } from '../../x509/extension.ts';
import { decodeSubjectAltName, SUBJECT_ALT_NAME } from '../../x509/extensions/subject-alt-name.ts';
import type { EvidenceFault, Verified, Verifier, VerifierParts } from '../evidence.ts';
import { onceByChallenge } from './binding.ts';
import { parseTrusted, trustedPath } from './given-chain.ts';
import { factsOfTexts } from './readable.ts';
import { openDocument, usableCertificates } from './signed-document.ts';

/** Machines of these subscriptions. */
export interface AzureSubscriptions {
  readonly subscriptions: readonly string[];
  readonly roots: readonly Certificate[];
  readonly intermediates: readonly Certificate[];
  readonly domains: readonly string[];
}

/**
 * Attested documents of Azure's metadata service, asked for with a nonce that names challenge and key: no document that
 * somebody else asked for is good here.
 */
export const azureVerifier: Verifier<AzureEvidence, AzureSubscriptions> = {
  parse: ({ subscriptions, roots, intermediates, domains }: AzureParameters) => ({
    subscriptions,
    roots: parseTrusted(roots, '/roots'),
    intermediates: parseTrusted(intermediates ?? [], '/intermediates'),
    domains: domains ?? ['metadata.azure.com'],
  }),
  verify: async (evidence, parameters, parts) => {
    try {
      return verifyAzure(evidence, parameters, parts);
    } catch (error) {
      if (isWritError(error)) return refused('malformed');
      throw error;
    }
  },
};

/** By how much clocks may differ. Milliseconds. */
const SKEW = 60_000;

/** Throws the errors of parsing. */
function verifyAzure(
  { document, challenge }: AzureEvidence,
  { subscriptions, roots, intermediates, domains }: AzureSubscriptions,
  parts: VerifierParts,
): Verified {
  const fresh = parts.challenge(challenge);
  if (!fresh.good) return refused(fresh.fault);
  let brought: readonly Certificate[] = [];
  const opened = openDocument(document, (data) => {
    brought = usableCertificates(data);
    return brought;
  });
  if (!opened.ok) return refused(opened.fault);
  // From here on there is one certificate: the one that the signature was verified with.
  const { signer, document: said } = opened;
  const now = parts.clock.now();
  const trusted = trustedPath({
    leaf: signer,
    intermediates: [...intermediates, ...brought.filter((one) => one !== signer)],
    anchors: roots,
    at: now,
    keyUsage: 'digitalSignature',
  });
  if (!trusted.ok) return refused(trusted.fault);
  if (!isForOneOf(signer, domains)) return refused('wrong-issuer');
  if (said['nonce'] !== azureNonce(challenge, parts.spki)) return refused('bad-challenge');
  const [subscription, machine] = [uuidOf(said['subscriptionId']), uuidOf(said['vmId'])];
  if (subscription === undefined || machine === undefined) return refused('malformed');
  const stamp = objectOf(said['timeStamp']);
  const [made, ends] = [timeOf(stamp['createdOn']), timeOf(stamp['expiresOn'])];
  if (made === undefined || ends === undefined) return refused('malformed');
  if (made > now + SKEW) return refused('not-yet-valid');
  if (now >= ends + SKEW) return refused('expired');
  if (!subscriptions.includes(subscription)) return refused('not-admitted');
  const plan = objectOf(said['plan']);
  return {
    accepted: true,
    facts: factsOfTexts({
      'azure:subscription_id': [subscription],
      'azure:vm_id': [machine],
      'azure:sku': textsOf(said['sku']),
      'azure:plan_name': textsOf(plan['name']),
      'azure:plan_product': textsOf(plan['product']),
      'azure:plan_publisher': textsOf(plan['publisher']),
      'azure:license_type': textsOf(said['licenseType']),
    }),
    reference: `${machine} of ${subscription}`,
    once: onceByChallenge(fresh),
  };
}

/** Signers are for `metadata.azure.com` or a name below it, by region (Microsoft's guidance for validating signatures). */
function isForOneOf({ extensions }: Certificate, domains: readonly string[]): boolean {
  const found = findExtension(extensions, SUBJECT_ALT_NAME);
  const names = found === undefined ? [] : decodeSubjectAltName(found.value);
  return names.some((name) => {
    if (name.kind !== 'dns') return false;
    const given = name.value.toLowerCase();
    return domains.some((domain) => given === domain || given.endsWith(`.${domain}`));
  });
}

function uuidOf(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined;
  const text = value.toLowerCase();
  return /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text) ? text : undefined;
}

/** `MM/DD/YY HH:MM:SS -0000`, as the service writes it. */
function timeOf(value: unknown): number | undefined {
  const parts = typeof value === 'string' ? /^(\d\d)\/(\d\d)\/(\d\d) (\d\d:\d\d:\d\d) [+-]0000$/.exec(value) : null;
  if (parts === null) return undefined;
  const ms = Date.parse(`20${parts[3]}-${parts[1]}-${parts[2]}T${parts[4]}Z`);
  return Number.isNaN(ms) ? undefined : ms;
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

function textsOf(value: unknown): readonly string[] {
  return typeof value === 'string' ? [value] : [];
}

function refused(fault: EvidenceFault): Verified {
  return { accepted: false, fault };
}
