import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWritError } from '../base/error.ts';
import { openDer } from './reader.ts';
import {
  BMP_STRING,
  IA5_STRING,
  INTEGER,
  NUMERIC_STRING,
  PRINTABLE_STRING,
  TELETEX_STRING,
  UNIVERSAL_STRING,
  UTF8_STRING,
  VISIBLE_STRING,
} from './tag.ts';
import { readText } from './text.ts';
import { encode } from './writer.ts';

const read = (tag: number, hex: string) =>
  readText(openDer(encode(tag, new Uint8Array(Buffer.from(hex, 'hex'))), 'x'), 'text');

const READ: readonly [name: string, tag: number, hex: string, want: string][] = [
  ['empty UTF8String', UTF8_STRING, '', ''],
  ['UTF8String beyond ASCII', UTF8_STRING, 'c3a9f09f9980', 'é🙀'],
  ['UTF8String with a byte order mark', UTF8_STRING, 'efbbbf41', '\ufeffA'],
  ['PrintableString with all its marks', PRINTABLE_STRING, '2027282b292c2d2e2f3a3d3f', " '(+),-./:=?"],
  ['NumericString', NUMERIC_STRING, '313220', '12 '],
  ['VisibleString', VISIBLE_STRING, '207e', ' ~'],
  ['IA5String with NUL and DEL', IA5_STRING, '007f', '\0\x7f'],
  ['TeletexString as Latin-1', TELETEX_STRING, 'e9', 'é'],
  ['BMPString', BMP_STRING, '00e94e2d', 'é中'],
  ['UniversalString beyond the BMP', UNIVERSAL_STRING, '0001f640', '🙀'],
];

for (const [name, tag, hex, want] of READ) {
  test(`read: ${name}`, () => assert.equal(read(tag, hex), want));
}

const REFUSED: readonly [name: string, tag: number, hex: string][] = [
  ['UTF-8 that is overlong', UTF8_STRING, 'c080'],
  ['UTF-8 that is cut off', UTF8_STRING, 'c3'],
  ['UTF-8 of a surrogate', UTF8_STRING, 'eda080'],
  ['PrintableString with *', PRINTABLE_STRING, '2a'],
  ['PrintableString with @', PRINTABLE_STRING, '40'],
  ['PrintableString with _', PRINTABLE_STRING, '5f'],
  ['PrintableString with a control character', PRINTABLE_STRING, '0a'],
  ['NumericString with a letter', NUMERIC_STRING, '61'],
  ['VisibleString with a control character', VISIBLE_STRING, '1f'],
  ['IA5String beyond ASCII', IA5_STRING, '80'],
  ['BMPString of an odd number of octets', BMP_STRING, '0041ff'],
  ['BMPString with a surrogate', BMP_STRING, 'd83dde40'],
  ['UniversalString beyond Unicode', UNIVERSAL_STRING, '00110000'],
  ['UniversalString of three octets', UNIVERSAL_STRING, '000041'],
  ['no string type', INTEGER, '01'],
];

for (const [name, tag, hex] of REFUSED) {
  test(`refused: ${name}`, () =>
    assert.throws(
      () => read(tag, hex),
      (error) => isWritError(error, 'bad_der'),
    ));
}
