import { WritError } from '../../base/error.ts';
import { type AddressRule, addressRule, type OutboundRules, parseOutboundUrl } from '../../http/outbound-address.ts';

/** Where the networks stand in which receivers may be. */
export const RECEIVER_NETWORKS = 'signals.receivers.allowNetworks';

/** Throws `bad_config` for a network that is none. */
export function receiverAddressRule(rules: OutboundRules): AddressRule {
  return addressRule(rules, RECEIVER_NETWORKS);
}

/**
 * Parses the URL that a receiver wants SETs at, strictly. Throws `bad_request` for anything but https (or http, where
 * that is allowed) without credentials or fragment, and for an address that no receiver may have; a name is looked at
 * each time it is resolved.
 */
export function parseReceiverUrl(text: string, rules: OutboundRules, allowed: AddressRule): URL {
  const field = '/delivery/endpoint_url';
  const url = parseOutboundUrl(text, rules, allowed);
  if (url === 'form') {
    throw new WritError('bad_request', 'The endpoint is no URL that SETs can be pushed to.', {
      field,
      remedy: 'Give an https:// URL without user, password and fragment.',
    });
  }
  if (url === 'address') {
    throw new WritError('bad_request', 'The endpoint has an address that receivers may not have.', {
      field,
      remedy: 'Whoever runs the server can allow its network with signals.receivers.allowNetworks.',
    });
  }
  return url;
}
