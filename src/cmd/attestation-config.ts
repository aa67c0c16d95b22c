import { readFileSync } from 'node:fs';
import { WritError } from '../base/error.ts';
import type { OutboundOptions } from '../http/outbound.ts';

/** Where evidence is looked up, as `config.json` has it (docs/ATTESTATION.md). */
export interface AttestationConfig {
  /** Networks like `10.0.0.0/8` in which issuers of evidence may stand. Absent: public addresses alone. */
  readonly allowNetworks: readonly string[];
  /** PEM file of roots that issuers' servers may be trusted by, beside the public ones. */
  readonly caFile?: string;
}

export const PUBLIC_ISSUERS: AttestationConfig = { allowNetworks: [] };

/** How issuers of evidence are asked under a configuration. Throws `bad_config`. */
export function issuerOptions({ allowNetworks, caFile }: AttestationConfig): OutboundOptions {
  const rules = { allowHttp: false, allowNetworks };
  if (caFile === undefined) return rules;
  try {
    return { ...rules, roots: [readFileSync(caFile, 'latin1')] };
  } catch (cause) {
    throw new WritError('bad_config', 'The file cannot be read.', {
      field: 'attestation.caFile',
      remedy: 'Give the path of a PEM file that the server may read.',
      cause,
    });
  }
}
