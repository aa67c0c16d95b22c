import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isWritError } from '../base/error.ts';
import { openDer } from '../der/reader.ts';
import { encode, octetString, oid, sequence } from '../der/writer.ts';
import { type CommonBeginning, type Extension, encodeExtension, readExtensions } from './extension.ts';

const sound = fc
  .record({ oid: fc.constantFrom('2.5.29.14', '2.5.29.15', '2.5.29.17', '1.3.6.1.5.5.7.1.1'), critical: fc.boolean() })
  .chain((head) => fc.uint8Array({ maxLength: 3 }).map((value) => encodeExtension({ ...head, value })));
/** FALSE written out, something after the value, an octet too few. */
const broken = fc.constantFrom(
  sequence(oid('2.5.29.15'), encode(1, Uint8Array.of(0)), octetString(Uint8Array.of())),
  sequence(oid('2.5.29.15'), octetString(Uint8Array.of()), octetString(Uint8Array.of())),
  encodeExtension({ oid: '2.5.29.15', critical: false, value: Uint8Array.of(1) }).slice(0, -1),
);
const list = fc.array(fc.oneof({ weight: 9, arbitrary: sound }, { weight: 1, arbitrary: broken }), { maxLength: 6 });

function outcome(bytes: Uint8Array, common?: CommonBeginning): readonly Extension[] | string {
  try {
    return readExtensions(openDer(bytes, 'extensions'), '', common).map(({ oid: dotted, critical, value }) => ({
      oid: dotted,
      critical,
      value: new Uint8Array(value),
    }));
  } catch (error) {
    assert.ok(isWritError(error));
    return `${error.code} ${error.message} ${error.field}`;
  }
}

test('what was read before changes nothing about what is read', () => {
  const lists = fc.array(list, { minLength: 2, maxLength: 8 });
  fc.assert(
    fc.property(lists, (encodings) => {
      const common: CommonBeginning = [];
      for (const extensions of encodings) {
        const bytes = sequence(...extensions);
        const alone = outcome(bytes);
        const memory = bytes.slice();
        assert.deepEqual(outcome(memory, common), alone);
        // Whoever gave the octets may use their memory for something else.
        memory.fill(0xff);
      }
    }),
    { numRuns: 500 },
  );
});
