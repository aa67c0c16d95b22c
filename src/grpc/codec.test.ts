import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { loadSync } from '@grpc/proto-loader';
import fc from 'fast-check';
import { isWritError } from '../base/error.ts';
import { fileDescriptor, openCodecs } from './codec.ts';
import { ECHO, type Words, words } from './testdata/echo.ts';

const codec = openCodecs(ECHO).of(words);

const item = fc.record(
  { name: fc.string({ unit: 'grapheme' }), sizes: fc.array(fc.maxSafeNat()) },
  { noNullPrototype: true },
);
const value: fc.Arbitrary<Words> = fc
  .record(
    {
      text: fc.string({ unit: 'grapheme' }),
      count: fc.maxSafeNat(),
      loud: fc.boolean(),
      raw: fc.uint8Array(),
      colour: fc.constantFrom('dark_red' as const, 'blue' as const),
      items: fc.array(item),
    },
    { noNullPrototype: true },
  )
  .chain((base) =>
    fc.oneof(
      fc.constant(base),
      item.map((one) => ({ ...base, one })),
      fc.string().map((left) => ({ ...base, left })),
      item.map((right) => ({ ...base, right })),
    ),
  );

test('a value comes back from its message; what is cut off or garbled is refused or another value, never a crash', () => {
  fc.assert(
    fc.property(value, fc.nat(), (given, at) => {
      const bytes = codec.encode(given);
      assert.deepEqual(codec.decode(bytes), given);
      const garbled = Uint8Array.from(bytes);
      if (garbled.length > 0) garbled[at % garbled.length]! ^= 1 + (at % 255);
      for (const bad of [bytes.subarray(0, at % (bytes.length + 1)), garbled]) {
        try {
          codec.decode(bad);
        } catch (error) {
          assert.ok(isWritError(error, 'bad_request'), String(error));
        }
      }
    }),
  );
});

test('numbers beyond 2^53 - 1 and unknown names of an enumeration are refused; unknown fields are skipped', () => {
  const refused = (bytes: number[]): void =>
    assert.throws(
      () => codec.decode(Uint8Array.from(bytes)),
      (error) => isWritError(error, 'bad_request'),
    );
  const known = [0x28, 1];
  refused([...known, 0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
  refused([0x28, 9]);
  refused([...known, 0x0a, 5, 0x61]);
  assert.equal(codec.decode(Uint8Array.from([...known, 0xf8, 0x07, 1])).colour, 'dark_red');
});

test('the description is what another reader makes of the .proto file', () => {
  const path = `${import.meta.dirname}/testdata/echo.proto`;
  const loaded = Object.values(loadSync(path, { keepCase: true })).find((one) => 'fileDescriptorProtos' in one);
  const read = (loaded as { fileDescriptorProtos: Buffer[] }).fileDescriptorProtos.map((bytes) =>
    fromBinary(FileDescriptorProtoSchema, bytes),
  );
  const theirs = read.find((file) => file.package === 'writ.test')!;
  const ours = fileDescriptor(ECHO);
  const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1);
  const plain = (file: typeof ours): unknown => [
    file.messageType
      .map(({ name, field, oneofDecl }) => ({
        name,
        oneofs: oneofDecl.map((one) => one.name),
        fields: field
          .map((one) => [one.name, one.number, one.type, one.label, one.typeName.split('.').at(-1), one.oneofIndex])
          .sort((a, b) => Number(a[1]) - Number(b[1])),
      }))
      .sort(byName),
    file.enumType.map(({ name, value }) => ({ name, values: value.map((one) => [one.name, one.number]) })),
  ];
  assert.deepEqual(plain(ours), plain(theirs));
});
