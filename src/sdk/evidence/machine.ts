import { WritError } from '../../base/error.ts';

export interface MachineOptions {
  /** Name of the attestor at the server. */
  readonly attestor: string;
  /** Where the metadata service is, without a path. Default: `http://169.254.169.254`, as all three clouds have it. */
  readonly metadata?: string | undefined;
}

/** Base of the metadata service's URLs. Throws `bad_config` for what is none. */
export function metadataOf({ metadata = 'http://169.254.169.254' }: MachineOptions): string {
  const url = URL.canParse(metadata) ? new URL(metadata) : undefined;
  if (url !== undefined && /^https?:$/.test(url.protocol) && url.href === `${url.origin}/`) return url.origin;
  throw new WritError('bad_config', 'That is not where a metadata service is.', {
    field: 'metadata',
    remedy: 'Give an address without a path, like http://169.254.169.254 or http://[fd00:ec2::254].',
  });
}
