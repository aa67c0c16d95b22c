/** Finds a secret in whatever was written, in all the guises in which software lets secrets slip. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A secret, and what a search looks for. */
export interface Canary {
  readonly name: string;
  readonly needles: readonly Needle[];
}

interface Needle {
  readonly guise: string;
  readonly octets: Buffer;
}

/** Something that was written, and where. */
export interface Written {
  readonly where: string;
  readonly what: Buffer;
}

/** Too short to be anything but chance. */
const SHORTEST = 12;

/** A secret of octets, such as the private part of a key. */
export function canaryOf(name: string, secret: Uint8Array | string): Canary {
  const octets = Buffer.from(secret);
  const guises: [string, Buffer][] = [
    ['raw', octets],
    ['hex', Buffer.from(octets.toString('hex'))],
    ['HEX', Buffer.from(octets.toString('hex').toUpperCase())],
    ['hex with colons', Buffer.from(octets.toString('hex').replaceAll(/..(?!$)/g, '$&:'))],
    ['list of numbers', Buffer.from([...octets].join(','))],
    ['percent', Buffer.from([...octets].map((octet) => `%${octet.toString(16).padStart(2, '0')}`).join(''))],
    ...aligned(octets, 'base64'),
    ...aligned(octets, 'base64url'),
  ];
  if (typeof secret === 'string') {
    guises.push(
      ['JSON', Buffer.from(JSON.stringify(secret).slice(1, -1))],
      ['JSON in JSON', Buffer.from(JSON.stringify(JSON.stringify(secret)).slice(3, -3))],
      ['URL', Buffer.from(encodeURIComponent(secret))],
      ['form', Buffer.from(new URLSearchParams({ a: secret }).toString().slice(2))],
      ['UTF-16', Buffer.from(secret, 'utf16le')],
    );
  }
  const needles = guises
    .map(([guise, needle]) => ({ guise, octets: needle }))
    .filter((needle) => needle.octets.length >= SHORTEST);
  return { name, needles };
}

/** What stands for certain in the Base64 of anything that holds the octets: at each of three places, without the edges. */
function aligned(octets: Buffer, encoding: 'base64' | 'base64url'): [string, Buffer][] {
  return [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), octets])
      .toString(encoding)
      .replaceAll('=', '');
    const clean = text.slice(before === 0 ? 0 : before + 1, text.length - ((octets.length + before) % 3 === 0 ? 0 : 1));
    return [`${encoding}, ${before} octets before it`, Buffer.from(clean)];
  });
}

/** `secret as guise in where`, for each that is there. Lines that are broken, as in PEM, are searched whole, too. */
export function sightings(canaries: readonly Canary[], written: readonly Written[]): string[] {
  const found: string[] = [];
  for (const { where, what } of written) {
    const joined = Buffer.from(what.toString('latin1').replaceAll(/\\n|\s/g, ''), 'latin1');
    for (const { name, needles } of canaries) {
      const seen = needles.find(({ octets }) => what.includes(octets) || joined.includes(octets));
      if (seen !== undefined) found.push(`${name} as ${seen.guise} in ${where}`);
    }
  }
  return found;
}

/** Every file below a directory. */
export function filesBelow(directory: string): Written[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => ({ where: path, what: readFileSync(path) }));
}
