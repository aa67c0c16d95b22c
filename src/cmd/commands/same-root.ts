import { isDeepStrictEqual } from 'node:util';
import { WritError } from '../../base/error.ts';
import type { Hierarchy } from '../../ca/hierarchy.ts';
import { nameConstraintsFor } from '../../ca/name-constraints.ts';
import type { Input } from '../../cli/command.ts';
import { decodeNameConstraints } from '../../x509/extensions/name-constraints.ts';

/**
 * Refuses (`conflict`) flags that ask for another root than the one that is there. They are for the first start: later they
 * would do nothing, and somebody would believe that the key has left the machine.
 */
export function requireSameRoot(
  { trustDomain, root, nameConstraints }: Pick<Hierarchy, 'trustDomain' | 'root' | 'nameConstraints'>,
  input: Input,
): void {
  if (input.flag('root-key-out') !== undefined && root !== 'offline') {
    throw new WritError('conflict', 'The root of this installation was made without --root-key-out', {
      field: '--root-key-out',
      remedy:
        root === 'online'
          ? 'Its key lies in the database: move it out with "writ ca move-root-key FILE", and leave the flag out.'
          : 'The root is somebody else’s: leave the flag out.',
    });
  }
  const [dns, networks] = [input.flags('permit-dns'), input.flags('permit-ip')];
  const there = decodeNameConstraints(nameConstraints).permitted;
  const asked = nameConstraintsFor({ trustDomain, dns, networks, loopback: false }).permitted;
  if (asked.every((name) => there.some((other) => isDeepStrictEqual(name, other)))) return;
  throw new WritError('conflict', 'The root of this installation permits other names', {
    field: dns.length > 0 ? '--permit-dns' : '--permit-ip',
    remedy: 'What it permits is fixed for its life: leave the flags out, or begin anew with another directory.',
  });
}
