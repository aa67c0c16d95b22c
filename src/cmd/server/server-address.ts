import { hash } from 'node:crypto';
import type { Authority } from '../../ca/authority.ts';
import type { Config } from '../config/config.ts';
import type { ServerAddress } from './operations.ts';

/**
 * What join tokens carry: the first name of the configuration with the port of the API, and the root's fingerprint.
 * `port` is asked for each token, since it is known only when the listener has it.
 */
export function serverAddress(config: Config, port: () => number, root: Pick<Authority, 'certificate'>): ServerAddress {
  const [name] = config.names;
  const host = name!.includes(':') ? `[${name}]` : name!;
  return {
    get address() {
      return `${host}:${port()}`;
    },
    rootFingerprint: hash('sha256', root.certificate.raw, 'buffer'),
  };
}
