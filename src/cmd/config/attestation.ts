import type { Log } from '../../base/log.ts';
import type { OutboundOptions } from '../../http/outbound.ts';
import { readSecretFile } from '../../keys/secret-file.ts';
import { keysOf, networksOf, text } from './fields.ts';
import { readRoots } from './roots.ts';

/** Where evidence is looked up, as `config.json` has it (docs/ATTESTATION.md). */
export interface AttestationConfig {
  /** Networks like `10.0.0.0/8` in which issuers of evidence may stand. Absent: public addresses alone. */
  readonly allowNetworks: readonly string[];
  /**
   * Files with the tokens by which this server may ask clusters about service accounts (TokenReview), by name of the
   * attestor, owner-only. Absent: the token that is presented asks about itself.
   */
  readonly reviewerTokens: Readonly<Record<string, string>>;
  /** PEM file of roots that issuers' servers may be trusted by, beside the public ones. */
  readonly caFile?: string;
}

export const PUBLIC_ISSUERS: AttestationConfig = { allowNetworks: [], reviewerTokens: {} };

/** Throws `bad_config`. */
export function parseAttestation(value: unknown): AttestationConfig {
  const { allowNetworks, caFile, reviewerTokens } = keysOf(value, 'attestation', [
    'allowNetworks',
    'caFile',
    'reviewerTokens',
  ]);
  const tokens = Object.entries(
    keysOf(reviewerTokens ?? {}, 'attestation.reviewerTokens', Object.keys(reviewerTokens ?? {})),
  );
  return {
    reviewerTokens: Object.fromEntries(
      tokens.map(([name, file]) => [name, text(file, `attestation.reviewerTokens.${name}`)]),
    ),
    allowNetworks: networksOf(allowNetworks, 'attestation.allowNetworks'),
    ...(caFile === undefined ? {} : { caFile: text(caFile, 'attestation.caFile') }),
  };
}

/** How issuers of evidence are asked under a configuration. Throws `bad_config`. */
export function issuerOptions({ allowNetworks, caFile }: Omit<AttestationConfig, 'reviewerTokens'>): OutboundOptions {
  const rules = { allowHttp: false, allowNetworks };
  if (caFile === undefined) return rules;
  return { ...rules, roots: [readRoots(caFile, 'attestation.caFile')] };
}

/**
 * Reads a reviewer's token anew each time, since Kubernetes changes it. One that cannot be read is in the log, and none is
 * used: whoever brings evidence learns nothing of this machine's files.
 */
export function reviewerOf(
  { reviewerTokens }: Pick<AttestationConfig, 'reviewerTokens'>,
  log: Log,
): (attestor: string) => Promise<string | undefined> {
  return async (attestor) => {
    const file = Object.hasOwn(reviewerTokens, attestor) ? reviewerTokens[attestor] : undefined;
    if (file === undefined) return undefined;
    try {
      const secret = await readSecretFile(file, 16_384, `attestation.reviewerTokens.${attestor}`);
      const token = secret.toString('latin1').trim();
      secret.fill(0);
      return token;
    } catch (error) {
      log.error('token of a reviewer not read', { attestor, error: (error as Error).message });
      return undefined;
    }
  };
}
