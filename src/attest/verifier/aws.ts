import { isWritError } from '../../base/error.ts';
import { sha256 } from '../../base/sha256.ts';
import type { AwsEvidence } from '../../wire/attestation.ts';
import type { AwsParameters } from '../../wire/attestor.ts';
import type { Certificate } from '../../x509/certificate.ts';
import type { EvidenceFault, Verified, Verifier, VerifierParts } from '../evidence.ts';
import { parseTrusted } from './given-chain.ts';
import { factsOfTexts } from './readable.ts';
import { openDocument } from './signed-document.ts';

/** Machines of these accounts. */
export interface AwsAccounts {
  readonly accounts: readonly string[];
  /** Absent: every region. */
  readonly regions?: readonly string[];
  /** Those that AWS publishes; they are trusted by themselves, and each by its own name and number. */
  readonly certificates: readonly Certificate[];
  /** Milliseconds since the machine was launched. */
  readonly maxAge: number;
}

/**
 * AWS instance identity documents with the RSA-2048 signature. A document has no nonce and no end, and everybody on the
 * machine can read it: so it is good once for each machine, and only while the machine is young.
 */
export const awsVerifier: Verifier<AwsEvidence, AwsAccounts> = {
  parse: ({ accounts, regions, certificates, max_age_seconds }: AwsParameters) => ({
    accounts,
    ...(regions === undefined ? {} : { regions }),
    certificates: parseTrusted(certificates, '/certificates'),
    maxAge: (max_age_seconds ?? USUAL_AGE) * 1000,
  }),
  verify: async (evidence, parameters, parts) => {
    try {
      return verifyAws(evidence, parameters, parts);
    } catch (error) {
      if (isWritError(error)) return refused('malformed');
      throw error;
    }
  },
};

/** Seconds. */
const USUAL_AGE = 3600;
/** By how much clocks may differ. Milliseconds, like what follows. */
const SKEW = 60_000;
/**
 * How long it is remembered that a machine came in. A machine that is stopped and started has a new time of launch, so this
 * is longer than machines live; who has lost what it came in with comes in by other evidence.
 */
const REMEMBERED = 10 * 365 * 86_400_000;

/** Throws the errors of parsing. */
function verifyAws({ document }: AwsEvidence, accounts: AwsAccounts, { clock }: VerifierParts): Verified {
  const opened = openDocument(document, () => accounts.certificates);
  if (!opened.ok) return refused(opened.fault);
  const now = clock.now();
  // The end of a certificate is the end of that second.
  if (now >= opened.signer.notAfter + 1000 || now < opened.signer.notBefore) return refused('untrusted-chain');
  const said = opened.document;
  const [account, instance, region] = [said['accountId'], said['instanceId'], said['region']];
  const launched = launchOf(said['pendingTime']);
  if (typeof account !== 'string' || !/^\d{12}$/.test(account)) return refused('malformed');
  if (typeof instance !== 'string' || !/^i-[0-9a-f]{8,40}$/.test(instance)) return refused('malformed');
  if (typeof region !== 'string' || !/^[a-z0-9-]{1,63}$/.test(region)) return refused('malformed');
  if (launched === undefined) return refused('malformed');
  if (!accounts.accounts.includes(account)) return refused('not-admitted');
  if (accounts.regions !== undefined && !accounts.regions.includes(region)) return refused('not-admitted');
  if (launched > now + SKEW) return refused('not-yet-valid');
  if (now - launched > accounts.maxAge) return refused('too-old');
  return {
    accepted: true,
    facts: factsOfTexts({
      'aws:account': [account],
      'aws:region': [region],
      'aws:instance_id': [instance],
      'aws:availability_zone': textsOf(said['availabilityZone']),
      'aws:image_id': textsOf(said['imageId']),
      'aws:instance_type': textsOf(said['instanceType']),
      'aws:architecture': textsOf(said['architecture']),
      'aws:private_ip': textsOf(said['privateIp']),
    }),
    reference: `${instance} of ${account}`,
    once: { digest: sha256(JSON.stringify(['aws', account, instance])), until: now + REMEMBERED },
  };
}

function launchOf(value: unknown): number | undefined {
  if (typeof value !== 'string' || !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z$/.test(value)) return undefined;
  const ms = Date.parse(value);
  return Number.isNaN(ms) ? undefined : ms;
}

function textsOf(value: unknown): readonly string[] {
  return typeof value === 'string' ? [value] : [];
}

function refused(fault: EvidenceFault): Verified {
  return { accepted: false, fault };
}
