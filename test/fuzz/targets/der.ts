import { readOid } from '../../../src/der/oid.ts';
import { decodePemBlocks, encodePem } from '../../../src/der/pem.ts';
import {
  type Cursor,
  enter,
  finish,
  MAX_DER_BYTES,
  openDer,
  peekTag,
  readAny,
  readBitString,
  readBoolean,
  readEnumerated,
  readInteger,
  readNull,
} from '../../../src/der/reader.ts';
import * as tag from '../../../src/der/tag.ts';
import { isTextTag, readText } from '../../../src/der/text.ts';
import { readTime } from '../../../src/der/time.ts';
import { demand, type Target } from '../target.ts';

/** Reads whatever stands there by the reader of its type, all the way down. */
function walk(cursor: Cursor): void {
  const pending = [cursor];
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    while (peekTag(at) >= 0) {
      const before = at.at;
      const inner = readOne(at);
      demand(at.at > before && at.at <= at.end, 'a value was read without moving on, or beyond the end');
      if (inner !== undefined) pending.push(inner);
    }
    finish(at);
  }
}

function readOne(cursor: Cursor): Cursor | undefined {
  const found = peekTag(cursor);
  if ((found & 0x20) !== 0 && (found & 0x1f) !== 0x1f) return enter(cursor, found, 'inner');
  if (isTextTag(found)) readText(cursor, 'text');
  else if (found === tag.INTEGER) readInteger(cursor, 'integer');
  else if (found === tag.OBJECT_IDENTIFIER) readOid(cursor, 'oid');
  else if (found === tag.BOOLEAN) readBoolean(cursor, 'boolean');
  else if (found === tag.BIT_STRING) readBitString(cursor, 'bits');
  else if (found === tag.ENUMERATED) readEnumerated(cursor, 'enumerated', 10);
  else if (found === tag.NULL) readNull(cursor, 'null');
  else if (found === tag.UTC_TIME || found === tag.GENERALIZED_TIME) readTime(cursor, 'time');
  else readAny(cursor, 'other');
  return undefined;
}

export const der: Target = {
  name: 'der',
  form: 'der',
  longest: MAX_DER_BYTES,
  codes: ['bad_der', 'too_large'],
  run: (input) => walk(openDer(input, 'input')),
};

export const pem: Target = {
  name: 'pem',
  form: 'text',
  longest: 200_000,
  codes: ['bad_pem', 'too_large'],
  words: ['-----BEGIN ', '-----END ', '-----', 'CERTIFICATE', '\n', '\r\n', 'MIIB', '==', 'A '],
  run(input) {
    for (const block of decodePemBlocks(Buffer.from(input).toString('utf8'))) {
      const [again] = decodePemBlocks(encodePem(block.label, block.der));
      demand(
        again?.label === block.label && Buffer.compare(again.der, block.der) === 0,
        'a block does not survive encoding',
      );
    }
  },
};
