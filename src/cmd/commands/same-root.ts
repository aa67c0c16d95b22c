import { isDeepStrictEqual } from 'node:util';
import { WritError } from '../../base/error.ts';
import { type NameScope, nameConstraintsFor } from '../../ca/authority/name-constraints.ts';
import type { Hierarchy } from '../../ca/hierarchy.ts';
import type { Input } from '../../cli/command.ts';
import { decodeNameConstraints } from '../../x509/extensions/name-constraints.ts';

/**
 * Refuses (`conflict`) flags that ask for another root than the one that is there. They are for the first start: later they
 * would do nothing, and somebody would believe that the key has left the machine.
 */
export function requireSameRoot(
  {
    trustDomain,
    algorithm,
    root,
    nameConstraints,
  }: Pick<Hierarchy, 'trustDomain' | 'algorithm' | 'root' | 'nameConstraints'>,
  input: Input,
): void {
  const asks = input.flag('algorithm');
  if (asks !== undefined && asks !== algorithm) {
    throw new WritError('conflict', `The authorities of this installation have keys of kind ${algorithm}`, {
      field: '--algorithm',
      remedy: 'The kind is fixed for ever: leave the flag out, or begin anew with another directory.',
    });
  }
  if (input.flag('root-key-out') !== undefined && root !== 'offline') {
    throw new WritError('conflict', 'The root of this installation was made without --root-key-out', {
      field: '--root-key-out',
      remedy:
        root === 'online'
          ? 'Its key lies in the database: move it out with "writ ca move-root-key FILE", and leave the flag out.'
          : 'The root is somebody else’s: leave the flag out.',
    });
  }
  const there = decodeNameConstraints(nameConstraints).permitted;
  const permits = (scope: Omit<NameScope, 'trustDomain'>): boolean =>
    nameConstraintsFor({ trustDomain, ...scope }).permitted.every((name) =>
      there.some((other) => isDeepStrictEqual(name, other)),
    );
  if (input.has('no-loopback') && permits({ dns: [], networks: [], loopback: true })) {
    throw new WritError('conflict', 'The root of this installation permits localhost and loopback addresses', {
      field: '--no-loopback',
      remedy: 'What it permits is fixed for its life: leave the flag out, or begin anew with another directory.',
    });
  }
  const [dns, networks] = [input.flags('permit-dns'), input.flags('permit-ip')];
  if (permits({ dns, networks, loopback: false })) return;
  throw new WritError('conflict', 'The root of this installation permits other names', {
    field: dns.length > 0 ? '--permit-dns' : '--permit-ip',
    remedy: 'What it permits is fixed for its life: leave the flags out, or begin anew with another directory.',
  });
}
