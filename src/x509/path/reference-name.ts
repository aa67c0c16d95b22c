import { sameBytes } from '../../der/bytes.ts';
import type { GeneralName } from '../general-name.ts';
import { isHostName, matchesHostName } from './host-name.ts';
import { parseIpAddress } from './ip-address.ts';
import { splitMailbox } from './mailbox.ts';

/** The name that whoever connects expects to find in the leaf, as text. */
export interface ReferenceName {
  readonly kind: 'dns' | 'ip' | 'email' | 'uri';
  readonly value: string;
}

/**
 * Does one of the alternative names stand for the expected one (RFC 9525 §6)? Names are compared within their kind
 * only; an expected name that breaks the syntax of its kind matches nothing. URIs match to the character, which is how
 * SPIFFE IDs compare.
 */
export function isNamed(
  alternatives: readonly GeneralName[],
  { kind, value }: ReferenceName,
  wildcards: boolean,
): boolean {
  switch (kind) {
    case 'dns':
      if (!isHostName(value)) return false;
      return alternatives.some((name) => name.kind === 'dns' && matchesHostName(name.value, value, wildcards));
    case 'ip': {
      const octets = parseIpAddress(value);
      return octets !== undefined && alternatives.some((name) => name.kind === 'ip' && sameBytes(name.value, octets));
    }
    case 'email': {
      const wanted = splitMailbox(value);
      if (wanted === undefined) return false;
      return alternatives.some((name) => {
        const found = name.kind === 'email' ? splitMailbox(name.value) : undefined;
        return found?.local === wanted.local && found.host === wanted.host;
      });
    }
    case 'uri':
      return alternatives.some((name) => name.kind === 'uri' && name.value === value);
  }
}
