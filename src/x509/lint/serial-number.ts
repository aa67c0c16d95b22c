import type { Lint } from './lint.ts';

/** A positive integer of at most 20 octets. */
export const serialNumber: Lint = {
  name: 'serial_number',
  clause: 'RFC 5280 §4.1.2.2',
  about: 'all',
  check({ tbs: { serial } }) {
    if (serial.length > 20) return 'has a serial number of more than 20 octets';
    if (serial[0]! >= 0x80) return 'has a negative serial number';
    return serial.length === 1 && serial[0] === 0 ? 'has the serial number 0' : undefined;
  },
};
