import type { Lint } from './lint.ts';

/** Writ's serial numbers have 20 octets, of which 10 are random; a shorter one was made elsewhere. */
export const serialEntropy: Lint = {
  name: 'serial_entropy',
  clause: 'Writ profile',
  about: 'all',
  check({ tbs: { serial } }) {
    return serial.length === 20 ? undefined : 'has a serial number that is not 20 octets long';
  },
};
