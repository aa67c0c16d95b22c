import { hash } from 'node:crypto';
import type { Authority } from '../../ca/authority.ts';
import { type Config, splitAddress } from '../config.ts';
import type { ServerAddress } from './operations.ts';

/** What join tokens carry: the first name of the configuration with the port of the API, and the root's fingerprint. */
export function serverAddress(config: Config, api: string, root: Pick<Authority, 'certificate'>): ServerAddress {
  const [name] = config.names;
  const host = name!.includes(':') ? `[${name}]` : name!;
  return {
    address: `${host}:${splitAddress(api).port}`,
    rootFingerprint: hash('sha256', root.certificate.raw, 'buffer'),
  };
}
