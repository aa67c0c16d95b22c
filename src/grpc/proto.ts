/** Protocol buffers as plain data: what a `.proto` file says, without a step that generates code. */

/**
 * Types of a field that is no message of the file. `uint64` is a whole number up to 2^53 - 1 here; `struct` is
 * `google.protobuf.Struct`, here a JSON object.
 */
export type ScalarKind = 'uint64' | 'string' | 'bytes' | 'bool' | 'struct';

/** One field, whose number and type never change. `T`: what it is in TypeScript. */
export interface Field<T> {
  readonly number: number;
  readonly kind: ScalarKind | MessageShape | EnumShape;
  readonly repeated: boolean;
  /** A map from texts to values of this kind. */
  readonly map?: true;
  /** The alternatives that it belongs to. */
  readonly oneof?: string;
  /** Never there: carries the type alone. */
  readonly type?: T;
}

/** A message. Its fields are absent, empty or 0 where nothing was sent; what is unknown is skipped. */
export interface MessageShape {
  readonly name: string;
  readonly fields: Readonly<Record<string, Field<unknown>>>;
}

export interface MessageType<T> extends MessageShape {
  /** Never there: carries the type alone. */
  readonly type?: (value: T) => T;
}

/** An enumeration: names in TypeScript and their numbers. In the file each stands in capitals behind the type's name. */
export interface EnumShape {
  readonly name: string;
  readonly values: Readonly<Record<string, number>>;
}

export interface EnumType<T extends string> extends EnumShape {
  readonly values: Readonly<Record<T, number>>;
}

interface ServiceMethod {
  readonly name: string;
  readonly request: MessageShape;
  readonly response: MessageShape;
  readonly streams?: 'response' | 'both';
}

export interface ProtoFile {
  /** Path under which others import it. */
  readonly path: string;
  /** Empty for a file without one. */
  readonly package: string;
  readonly messages: readonly MessageShape[];
  readonly enums: readonly EnumShape[];
  readonly service: { readonly name: string; readonly methods: readonly ServiceMethod[] };
}

type FieldsOf<T> = { readonly [K in keyof T]-?: Field<Exclude<T[K], undefined>> };

export function message<T>(name: string, fields: FieldsOf<T>): MessageType<T> {
  return { name, fields };
}

export function uint64(number: number): Field<number> {
  return { number, kind: 'uint64', repeated: false };
}

export function string(number: number): Field<string> {
  return { number, kind: 'string', repeated: false };
}

export function bool(number: number): Field<boolean> {
  return { number, kind: 'bool', repeated: false };
}

export function bytes(number: number): Field<Uint8Array> {
  return { number, kind: 'bytes', repeated: false };
}

/** `google.protobuf.Struct`. */
export function struct(number: number): Field<Readonly<Record<string, unknown>>> {
  return { number, kind: 'struct', repeated: false };
}

/** `map<string, …>` of such values. */
export function map<T>(field: Field<T>): Field<Readonly<Record<string, T>>> {
  return { number: field.number, kind: field.kind, repeated: false, map: true };
}

export function nested<T>(number: number, type: MessageType<T>): Field<T> {
  return { number, kind: type, repeated: false };
}

export function enumeration<T extends string>(number: number, type: EnumType<T>): Field<T> {
  return { number, kind: type, repeated: false };
}

export function repeated<T>(field: Field<T>): Field<readonly T[]> {
  return { number: field.number, kind: field.kind, repeated: true };
}

/** One of several alternatives of which a message has at most one. */
export function oneof<T>(name: string, field: Field<T>): Field<T> {
  return { ...field, oneof: name };
}

/** The path of a method as it stands in a call: `/package.Service/Method`. */
export function methodPath(file: ProtoFile, method: string): string {
  return `/${fullName(file, file.service.name)}/${method}`;
}

/** The name of what stands in a file, as others refer to it. */
export function fullName(file: ProtoFile, name: string): string {
  return file.package === '' ? name : `${file.package}.${name}`;
}
