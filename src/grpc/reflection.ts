import { toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, file_google_protobuf_struct } from '@bufbuild/protobuf/wkt';
import { fileDescriptor, openCodecs } from './codec.ts';
import {
  bytes,
  fullName,
  type MessageType,
  message,
  nested,
  oneof,
  type ProtoFile,
  repeated,
  string,
  uint64,
} from './proto.ts';
import { bidirectional, type ServerMethod } from './server-method.ts';
import { STATUS_CODES } from './status.ts';

/** What a tool asks of a server that it has no `.proto` file of (gRPC "Server Reflection Protocol"). */
interface ReflectionRequest {
  readonly host?: string;
  readonly file_by_filename?: string;
  readonly file_containing_symbol?: string;
  readonly file_containing_extension?: { readonly containing_type: string };
  readonly all_extension_numbers_of_type?: string;
  readonly list_services?: string;
}

interface ReflectionResponse {
  readonly valid_host?: string;
  readonly original_request?: ReflectionRequest;
  readonly file_descriptor_response?: { readonly file_descriptor_proto: readonly Uint8Array[] };
  readonly list_services_response?: { readonly service: readonly { readonly name: string }[] };
  readonly error_response?: { readonly error_code: number; readonly error_message: string };
}

const extension: MessageType<{ readonly containing_type: string }> = message('ExtensionRequest', {
  containing_type: string(1),
});

const REQUEST = 'message_request';
const request: MessageType<ReflectionRequest> = message<ReflectionRequest>('ServerReflectionRequest', {
  host: string(1),
  file_by_filename: oneof(REQUEST, string(3)),
  file_containing_symbol: oneof(REQUEST, string(4)),
  file_containing_extension: oneof(REQUEST, nested(5, extension)),
  all_extension_numbers_of_type: oneof(REQUEST, string(6)),
  list_services: oneof(REQUEST, string(7)),
});

const descriptors: MessageType<{ readonly file_descriptor_proto: readonly Uint8Array[] }> = message(
  'FileDescriptorResponse',
  { file_descriptor_proto: repeated(bytes(1)) },
);
const service: MessageType<{ readonly name: string }> = message('ServiceResponse', { name: string(1) });
const services: MessageType<{ readonly service: readonly { readonly name: string }[] }> = message(
  'ListServiceResponse',
  { service: repeated(nested(1, service)) },
);
const failure: MessageType<{ readonly error_code: number; readonly error_message: string }> = message(
  'ErrorResponse',
  // An int32 in the file; what is said with it is never negative, and so the same on the wire.
  { error_code: uint64(1), error_message: string(2) },
);

const RESPONSE = 'message_response';
const response: MessageType<ReflectionResponse> = message<ReflectionResponse>('ServerReflectionResponse', {
  valid_host: string(1),
  original_request: nested(2, request),
  file_descriptor_response: oneof(RESPONSE, nested(4, descriptors)),
  list_services_response: oneof(RESPONSE, nested(6, services)),
  error_response: oneof(RESPONSE, nested(7, failure)),
});

/** Both names of the service: tools ask under the old one, too. */
const PACKAGES = ['grpc.reflection.v1', 'grpc.reflection.v1alpha'] as const;

/** The methods by which tools learn what a server serves: the services of `files`, and of `named` by their names alone. */
export function reflectionMethods<C>(
  files: readonly ProtoFile[],
  named: readonly ProtoFile[] = [],
): readonly ServerMethod<C>[] {
  const known = new Map(files.map((file) => [file.path, toBinary(FileDescriptorProtoSchema, fileDescriptor(file))]));
  const struct = file_google_protobuf_struct.proto;
  known.set(`${struct.name}`, toBinary(FileDescriptorProtoSchema, struct));
  const names = [
    ...[...files, ...named].map((file) => fullName(file, file.service.name)),
    ...PACKAGES.map((name) => `${name}.${SERVICE}`),
  ];
  const bySymbol = new Map(files.flatMap((file) => symbolsOf(file).map((symbol) => [symbol, file.path] as const)));

  const answer = (asked: ReflectionRequest): ReflectionResponse => {
    const about = { valid_host: asked.host ?? '', original_request: asked };
    if (asked.list_services !== undefined) {
      return { ...about, list_services_response: { service: names.map((name) => ({ name })) } };
    }
    const path = asked.file_by_filename ?? bySymbol.get(asked.file_containing_symbol ?? '');
    const file = path === undefined ? undefined : known.get(path);
    if (file !== undefined) return { ...about, file_descriptor_response: { file_descriptor_proto: [file] } };
    return {
      ...about,
      error_response: { error_code: STATUS_CODES.not_found, error_message: 'Nothing by that name is served here.' },
    };
  };

  return PACKAGES.map((name) => {
    const codecs = openCodecs({
      path: `${name}.proto`,
      package: name,
      enums: [],
      messages: [extension, request, descriptors, service, services, failure, response],
      service: { name: SERVICE, methods: [] },
    });
    return bidirectional<C, ReflectionRequest, ReflectionResponse>({
      path: `/${name}.${SERVICE}/ServerReflectionInfo`,
      request: codecs.of(request),
      response: codecs.of(response),
      async handle(requests, answers) {
        for await (const asked of requests) answers.send(answer(asked));
      },
    });
  });
}

const SERVICE = 'ServerReflection';

/** Everything in a file that somebody may ask for by its name. */
function symbolsOf(file: ProtoFile): string[] {
  const { name, methods } = file.service;
  return [
    fullName(file, name),
    ...methods.map((method) => `${fullName(file, name)}.${method.name}`),
    ...file.messages.map((type) => fullName(file, type.name)),
    ...file.enums.map((type) => fullName(file, type.name)),
  ];
}
