import { type AddressRule, addressRule } from '../../http/outbound-address.ts';
import { keysOf, networksOf, text } from './fields.ts';
import { readRoots } from './roots.ts';

/** How bundles of other trust domains are fetched, as `config.json` has it (docs/FEDERATION.md). */
export interface FederationConfig {
  /** Networks like `10.0.0.0/8` in which bundle endpoints may stand. Absent: public addresses alone. */
  readonly allowNetworks: readonly string[];
  /** PEM file of roots that servers of `https_web` may be known by, beside the public ones. */
  readonly caFile?: string;
}

export const PUBLIC_ENDPOINTS: FederationConfig = { allowNetworks: [] };

/** Throws `bad_config`. */
export function parseFederation(value: unknown): FederationConfig {
  const { allowNetworks, caFile } = keysOf(value, 'federation', ['allowNetworks', 'caFile']);
  return {
    allowNetworks: networksOf(allowNetworks, 'federation.allowNetworks'),
    ...(caFile === undefined ? {} : { caFile: text(caFile, 'federation.caFile') }),
  };
}

/** Where bundles may be fetched, and whom to know there. Throws `bad_config`. */
export function endpointRules({ allowNetworks, caFile }: FederationConfig): {
  readonly allowed: AddressRule;
  readonly roots?: readonly string[];
} {
  const allowed = addressRule({ allowHttp: false, allowNetworks }, 'federation.allowNetworks');
  if (caFile === undefined) return { allowed };
  return { allowed, roots: [readRoots(caFile, 'federation.caFile')] };
}
