/** The schema as a test compares it: attributes by name as `String`, `Long?`, `Set<String>`. */
import { createRequire } from 'node:module';
import type * as Wasm from '@cedar-policy/cedar-wasm/nodejs';

type Attributes = Record<string, string>;
type Json = Record<string, never> & { readonly [key: string]: Json };

export interface SchemaShape {
  readonly actions: Record<string, { context: Attributes; principals: string[]; resources: string[] }>;
  readonly entities: Record<string, Attributes>;
}

export function schemaShape(text: string): SchemaShape {
  const wasm = createRequire(import.meta.url)('@cedar-policy/cedar-wasm/nodejs') as typeof Wasm;
  const answer = wasm.schemaToJsonWithResolvedTypes(text);
  if (answer.type !== 'success') throw new Error('the schema does not parse');
  const { commonTypes, entityTypes, actions } = answer.json[''] as unknown as Json;
  const attributes = (record: Json | undefined): Attributes => {
    const named = commonTypes?.[record?.['type'] as unknown as string] ?? record;
    return Object.fromEntries(Object.entries(named?.['attributes'] ?? {}).map(([name, type]) => [name, typeName(type as Json)]));
  };
  return {
    actions: mapValues(actions!, ({ appliesTo }) => ({
      context: attributes(appliesTo?.['context']),
      principals: appliesTo?.['principalTypes'] as unknown as string[],
      resources: appliesTo?.['resourceTypes'] as unknown as string[],
    })),
    entities: mapValues(entityTypes!, ({ shape }) => attributes(shape)),
  };
}

function typeName(type: Json): string {
  const { type: name, element, required } = type as unknown as { type: string; element?: { type: string }; required?: boolean };
  return (name === 'Set' ? `Set<${element?.type}>` : name) + (required === false ? '?' : '');
}

function mapValues<T>(object: Json, map: (value: Json) => T): Record<string, T> {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, map(value)]));
}
