/** The published file and what tools are told are what is served. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, test } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import { type FileDescriptorProto, FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { fileDescriptor, openCodecs } from '../../grpc/codec.ts';
import { reflectionMethods } from '../../grpc/reflection.ts';
import { GrpcServer } from '../../grpc/server.ts';
import * as messages from '../../sdk/workload-api/messages.ts';

const scratch = mkdtempSync(join(tmpdir(), 'writ-messages-'));
const closing: (() => unknown)[] = [() => rmSync(scratch, { recursive: true, force: true })];
after(async () => {
  for (const close of closing.reverse()) await close();
});

const PUBLISHED = resolve(import.meta.dirname, '../../../proto/spiffe/workload/workload.proto');

/** What of a file two descriptions of it have to agree on. */
function plain(file: FileDescriptorProto): unknown {
  // The loader has names of its own for the entries of maps, and leaves leading dots out.
  const named = (name: string): string =>
    name
      .split('.')
      .at(-1)!
      .replace(/Entry$/, '')
      .replaceAll('_', '')
      .toLowerCase();
  const fields = (type: FileDescriptorProto['messageType'][number]): unknown[] => [
    ...type.field.map((one) => [one.number, one.name, one.type, one.label, named(one.typeName)]).sort(),
    ...type.nestedType.map((one) => [named(one.name), one.options?.mapEntry, fields(one)]),
  ];
  return [
    file.package,
    Object.fromEntries(file.messageType.map((type) => [type.name, fields(type)])),
    file.service.map(({ name, method }) => [
      name,
      method.map((one) => [one.name, one.inputType, one.outputType, one.clientStreaming, one.serverStreaming]),
    ]),
  ];
}

function descriptors(path: string): readonly FileDescriptorProto[] {
  const loaded = Object.values(loadSync(path, { keepCase: true })).find((one) => 'fileDescriptorProtos' in one);
  return (loaded as { fileDescriptorProtos: Buffer[] }).fileDescriptorProtos.map((bytes) =>
    fromBinary(FileDescriptorProtoSchema, bytes),
  );
}

test('the published file says what is served', () => {
  const theirs = descriptors(PUBLISHED).find((file) => file.messageType.some(({ name }) => name === 'X509SVID'))!;
  const [pack, types] = plain(theirs) as [string, object];
  const [own, ownTypes] = plain(fileDescriptor(messages.WORKLOAD_FILE)) as [string, object];
  assert.equal(pack, own);
  assert.deepEqual(types, ownTypes);
});

test('maps and structs come back from their messages', () => {
  const codecs = openCodecs(messages.WORKLOAD_FILE);
  const bundles = codecs.of(messages.jwtBundlesResponse);
  const value = { bundles: { 'spiffe://a.example': Buffer.from('{}'), 'spiffe://b.example': Buffer.alloc(0) } };
  const read = bundles.decode(bundles.encode(value)).bundles;
  assert.deepEqual(Object.keys(read).sort(), Object.keys(value.bundles));
  assert.deepEqual(Buffer.from(read['spiffe://a.example']!), value.bundles['spiffe://a.example']);
  const validated = codecs.of(messages.validateJwtSvidResponse);
  const claims = { sub: 'x', aud: ['a', 'b'], exp: 12.5, nested: { deep: [true, null, { a: 1 }] }, none: null };
  assert.deepEqual(validated.decode(validated.encode({ spiffe_id: 'x', claims })).claims, claims);
  assert.throws(() => bundles.decode(Buffer.from([0x0a, 0x02, 0x0a])), { code: 'bad_request' });
});

const REFLECTION = `syntax = "proto3";
package grpc.reflection.PACKAGE;
service ServerReflection { rpc ServerReflectionInfo(stream ServerReflectionRequest) returns (stream ServerReflectionResponse); }
message ServerReflectionRequest { string host = 1; oneof message_request { string file_by_filename = 3;
  string file_containing_symbol = 4; ExtensionRequest file_containing_extension = 5;
  string all_extension_numbers_of_type = 6; string list_services = 7; } }
message ExtensionRequest { string containing_type = 1; int32 extension_number = 2; }
message ServerReflectionResponse { string valid_host = 1; ServerReflectionRequest original_request = 2;
  oneof message_response { FileDescriptorResponse file_descriptor_response = 4;
  ExtensionNumberResponse all_extension_numbers_response = 5; ListServiceResponse list_services_response = 6;
  ErrorResponse error_response = 7; } }
message FileDescriptorResponse { repeated bytes file_descriptor_proto = 1; }
message ExtensionNumberResponse { string base_type_name = 1; repeated int32 extension_number = 2; }
message ListServiceResponse { repeated ServiceResponse service = 1; }
message ServiceResponse { string name = 1; }
message ErrorResponse { int32 error_code = 1; string error_message = 2; }
`;

interface Reflected {
  readonly list_services_response?: { readonly service: readonly { readonly name: string }[] };
  readonly file_descriptor_response?: { readonly file_descriptor_proto: readonly Buffer[] };
  readonly error_response?: { readonly error_code: number };
}

for (const version of ['v1', 'v1alpha']) {
  test(`a tool learns by reflection (${version}) what is served, file by file`, async () => {
    const path = join(scratch, `${version}.sock`);
    const server = new GrpcServer<number>({
      methods: reflectionMethods<number>([messages.WORKLOAD_FILE]),
      failure: () => ({ code: 'internal', message: '' }),
    });
    const listener = createServer((socket) => server.accept(socket, 0)).listen(path);
    await once(listener, 'listening');
    closing.push(() => listener.close());
    const file = join(scratch, `${version}.proto`);
    writeFileSync(file, REFLECTION.replace('PACKAGE', version));
    const loaded = grpc.loadPackageDefinition(loadSync(file, { keepCase: true, oneofs: true, includeDirs: [scratch] }));
    const Service = (loaded['grpc'] as grpc.GrpcObject)['reflection'] as grpc.GrpcObject;
    const Client = (Service[version] as grpc.GrpcObject)['ServerReflection'] as grpc.ServiceClientConstructor;
    const client = new Client(`unix://${path}`, grpc.credentials.createInsecure());
    closing.push(() => client.close());
    const ask = (asked: object): Promise<Reflected> =>
      new Promise((then, fail) => {
        const call = (client['ServerReflectionInfo'] as () => grpc.ClientDuplexStream<object, Reflected>).call(client);
        call.once('data', (answer: Reflected) => {
          call.end();
          then(answer);
        });
        call.on('error', fail);
        call.write(asked);
      });
    const names = (await ask({ list_services: '' })).list_services_response!.service.map(({ name }) => name);
    assert.deepEqual(names, [
      'SpiffeWorkloadAPI',
      'grpc.reflection.v1.ServerReflection',
      'grpc.reflection.v1alpha.ServerReflection',
    ]);
    for (const symbol of ['SpiffeWorkloadAPI', 'SpiffeWorkloadAPI.FetchX509SVID', 'X509SVID']) {
      const [bytes] = (await ask({ file_containing_symbol: symbol })).file_descriptor_response!.file_descriptor_proto;
      const found = fromBinary(FileDescriptorProtoSchema, bytes!);
      assert.deepEqual([found.name, found.dependency], [messages.WORKLOAD_FILE.path, ['google/protobuf/struct.proto']]);
    }
    const [struct] = (await ask({ file_by_filename: 'google/protobuf/struct.proto' })).file_descriptor_response!
      .file_descriptor_proto;
    assert.equal(fromBinary(FileDescriptorProtoSchema, struct!).package, 'google.protobuf');
    for (const asked of [{ file_by_filename: 'other.proto' }, { file_containing_symbol: 'Nothing' }, { host: 'x' }]) {
      assert.equal((await ask(asked)).error_response?.error_code, grpc.status.NOT_FOUND, JSON.stringify(asked));
    }
  });
}
