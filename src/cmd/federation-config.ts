import { readFileSync } from 'node:fs';
import { WritError } from '../base/error.ts';
import { type AddressRule, addressRule } from '../http/outbound-address.ts';

/** How bundles of other trust domains are fetched, as `config.json` has it (docs/FEDERATION.md). */
export interface FederationConfig {
  /** Networks like `10.0.0.0/8` in which bundle endpoints may stand. Absent: public addresses alone. */
  readonly allowNetworks: readonly string[];
  /** PEM file of roots that servers of `https_web` may be known by, beside the public ones. */
  readonly caFile?: string;
}

export const PUBLIC_ENDPOINTS: FederationConfig = { allowNetworks: [] };

/** Where bundles may be fetched, and whom to know there. Throws `bad_config`. */
export function endpointRules({ allowNetworks, caFile }: FederationConfig): {
  readonly allowed: AddressRule;
  readonly roots?: readonly string[];
} {
  const allowed = addressRule({ allowHttp: false, allowNetworks }, 'federation.allowNetworks');
  if (caFile === undefined) return { allowed };
  try {
    return { allowed, roots: [readFileSync(caFile, 'latin1')] };
  } catch (cause) {
    throw new WritError('bad_config', 'The file cannot be read.', {
      field: 'federation.caFile',
      remedy: 'Give the path of a PEM file that the server may read.',
      cause,
    });
  }
}
