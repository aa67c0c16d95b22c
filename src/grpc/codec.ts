import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  create,
  createFileRegistry,
  type DescMessage,
  type FileRegistry,
  fromBinary,
  toBinary,
} from '@bufbuild/protobuf';
import {
  type DescriptorProtoSchema,
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  type FieldDescriptorProtoSchema,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  file_google_protobuf_struct,
} from '@bufbuild/protobuf/wkt';
import { WritError } from '../base/error.ts';
import {
  type EnumShape,
  type Field,
  fullName,
  type MessageShape,
  type MessageType,
  type ProtoFile,
  type ScalarKind,
} from './proto.ts';

/** Turns values into messages and back. */
export interface Codec<T> {
  encode(value: T): Uint8Array;
  /** Throws `bad_request` on what is no such message. Copies what it keeps. */
  decode(bytes: Uint8Array): T;
}

export interface Codecs {
  /** Of a message of the file. */
  of<T>(type: MessageType<T>): Codec<T>;
}

/** Messages within messages; ours have three. */
const DEEPEST = 16;

const TYPES: Readonly<Record<Exclude<ScalarKind, 'struct'>, FieldDescriptorProto_Type>> = {
  uint64: FieldDescriptorProto_Type.UINT64,
  string: FieldDescriptorProto_Type.STRING,
  bytes: FieldDescriptorProto_Type.BYTES,
  bool: FieldDescriptorProto_Type.BOOL,
};

/** Makes the codecs of a file's messages, each when it is first asked for. */
export function openCodecs(file: ProtoFile): Codecs {
  const registry = createFileRegistry(fileDescriptor(file), (path) => (path === STRUCT_PATH ? STRUCT : undefined));
  const known = new Map<string, Codec<unknown>>();
  return {
    of<T>(type: MessageType<T>): Codec<T> {
      const codec = known.get(type.name) ?? codecOf(type, registry, fullName(file, type.name));
      known.set(type.name, codec);
      return codec as Codec<T>;
    },
  };
}

const STRUCT = file_google_protobuf_struct;
const STRUCT_PATH = 'google/protobuf/struct.proto';

/** The file as `protoc` would describe it. */
export function fileDescriptor(file: ProtoFile): FileDescriptorProto {
  const { name, methods } = file.service;
  return create(FileDescriptorProtoSchema, {
    name: file.path,
    package: file.package,
    syntax: 'proto3',
    dependency: usesStruct(file) ? [STRUCT_PATH] : [],
    messageType: file.messages.map((type) => ({
      name: type.name,
      nestedType: entriesOf(file, type),
      field: Object.entries(type.fields).map(([field, of]) => fieldDescriptor(file, type, field, of)),
      oneofDecl: alternativesOf(type).map((oneof) => ({ name: oneof })),
    })),
    enumType: file.enums.map((type) => ({
      name: type.name,
      value: [
        { name: `${capitals(type.name)}_UNSPECIFIED`, number: 0 },
        ...Object.entries(type.values).map(([value, number]) => ({
          name: `${capitals(type.name)}_${value.toUpperCase()}`,
          number,
        })),
      ],
    })),
    service: [
      {
        name,
        method: methods.map((method) => ({
          name: method.name,
          inputType: `.${fullName(file, method.request.name)}`,
          outputType: `.${fullName(file, method.response.name)}`,
          ...(method.streams === undefined ? {} : { serverStreaming: true }),
          ...(method.streams === 'both' ? { clientStreaming: true } : {}),
        })),
      },
    ],
  });
}

function fieldDescriptor(
  file: ProtoFile,
  within: MessageShape,
  name: string,
  { number, kind, repeated, oneof, map }: Field<unknown>,
): MessageInitShape<typeof FieldDescriptorProtoSchema> {
  const { LABEL_REPEATED, LABEL_OPTIONAL } = LABELS;
  return {
    name,
    number,
    label: repeated || map === true ? LABEL_REPEATED : LABEL_OPTIONAL,
    ...(map === true
      ? { type: FieldDescriptorProto_Type.MESSAGE, typeName: `.${fullName(file, within.name)}.${entryName(name)}` }
      : typeOf(file, kind)),
    ...(oneof === undefined ? {} : { oneofIndex: alternativesOf(within).indexOf(oneof) }),
  };
}

function typeOf(file: ProtoFile, kind: Field<unknown>['kind']): MessageInitShape<typeof FieldDescriptorProtoSchema> {
  if (kind === 'struct') return { type: FieldDescriptorProto_Type.MESSAGE, typeName: '.google.protobuf.Struct' };
  if (typeof kind === 'string') return { type: TYPES[kind] };
  return {
    type: isEnum(kind) ? FieldDescriptorProto_Type.ENUM : FieldDescriptorProto_Type.MESSAGE,
    typeName: `.${fullName(file, kind.name)}`,
  };
}

/** The messages that stand for the entries of maps. */
function entriesOf(file: ProtoFile, within: MessageShape): MessageInitShape<typeof DescriptorProtoSchema>[] {
  const { LABEL_OPTIONAL: label } = LABELS;
  return Object.entries(within.fields)
    .filter(([, { map }]) => map === true)
    .map(([field, { kind }]) => ({
      name: entryName(field),
      options: { mapEntry: true },
      field: [
        { name: 'key', number: 1, label, type: FieldDescriptorProto_Type.STRING },
        { name: 'value', number: 2, label, ...typeOf(file, kind) },
      ],
    }));
}

function entryName(field: string): string {
  return `${field.replaceAll(/(?:^|_)([a-z])/g, (_all, letter: string) => letter.toUpperCase())}Entry`;
}

function usesStruct({ messages }: ProtoFile): boolean {
  return messages.some(({ fields }) => Object.values(fields).some(({ kind }) => kind === 'struct'));
}

const LABELS = {
  LABEL_REPEATED: FieldDescriptorProto_Label.REPEATED,
  LABEL_OPTIONAL: FieldDescriptorProto_Label.OPTIONAL,
};

function alternativesOf({ fields }: MessageShape): string[] {
  return [...new Set(Object.values(fields).flatMap(({ oneof }) => (oneof === undefined ? [] : [oneof])))];
}

function capitals(name: string): string {
  return name.replaceAll(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase();
}

function isEnum(kind: MessageShape | EnumShape): kind is EnumShape {
  return 'values' in kind;
}

function codecOf(type: MessageShape, registry: FileRegistry, name: string): Codec<unknown> {
  const desc = registry.getMessage(name);
  if (desc === undefined) throw new TypeError(`the file has no message ${type.name}`);
  return {
    encode: (value) => toBinary(desc, create(desc, toInit(type, desc, value as Values) as never)),
    decode(bytes) {
      try {
        return fromMessage(type, desc, fromBinary(desc, bytes, { readUnknownFields: false, recursionLimit: DEEPEST }));
      } catch (cause) {
        throw new WritError('bad_request', `The message is no ${type.name} as its .proto file says.`, { cause });
      }
    },
  };
}

type Values = Readonly<Record<string, unknown>>;

/** Our value as the library takes it. */
function toInit({ fields }: MessageShape, desc: DescMessage, value: Values): Values {
  const init: Record<string, unknown> = {};
  for (const { name, localName, oneof, message } of desc.fields) {
    const given = value[name];
    if (given === undefined) continue;
    const { kind } = fields[name]!;
    const made = each(fields[name]!, given, (item) => itemInit(kind, message, item));
    if (oneof === undefined) init[localName] = made;
    else init[oneof.localName] = { case: localName, value: made };
  }
  return init;
}

/** A field's value with each of its items turned over. */
function each({ repeated, map }: Field<unknown>, given: unknown, one: (item: unknown) => unknown): unknown {
  if (repeated) return (given as readonly unknown[]).map(one);
  if (map !== true) return one(given);
  return Object.fromEntries(Object.entries(given as Values).map(([key, item]) => [key, one(item)]));
}

function itemInit(kind: Field<unknown>['kind'], desc: DescMessage | undefined, item: unknown): unknown {
  if (kind === 'uint64') return BigInt(item as number);
  if (typeof kind === 'string') return item;
  return isEnum(kind) ? kind.values[item as string] : toInit(kind, desc!, item as Values);
}

/** What the library read as our value. Throws on numbers and names that we have no value for. */
function fromMessage({ fields }: MessageShape, desc: DescMessage, read: object): Values {
  const value: Record<string, unknown> = {};
  const from = read as Record<string, unknown>;
  for (const { name, localName, oneof, message } of desc.fields) {
    const chosen = oneof === undefined ? undefined : (from[oneof.localName] as { case?: string; value?: unknown });
    const given = chosen === undefined ? from[localName] : chosen.case === localName ? chosen.value : undefined;
    if (given === undefined) continue;
    const { kind } = fields[name]!;
    // Number 0 of an enumeration stands for nothing.
    if (typeof kind !== 'string' && isEnum(kind) && given === 0) continue;
    value[name] = each(fields[name]!, given, (item) => itemOf(kind, message, item));
  }
  return value;
}

function itemOf(kind: Field<unknown>['kind'], desc: DescMessage | undefined, item: unknown): unknown {
  if (kind === 'uint64') {
    const number = Number(item);
    if (!Number.isSafeInteger(number)) throw new RangeError('a number beyond 2^53 - 1');
    return number;
  }
  if (typeof kind === 'string') return item;
  if (!isEnum(kind)) return fromMessage(kind, desc!, item as object);
  const name = Object.keys(kind.values).find((value) => kind.values[value] === item);
  if (name === undefined) throw new RangeError(`${kind.name} has no value for ${String(item)}`);
  return name;
}
