import { COMPONENTS } from '../wire/components.ts';
import { PROBLEM_TYPE } from '../wire/problem.ts';
import { jsonMembers, jsonSchemas, type Schema } from '../wire/schema.ts';
import type { Operation } from './operation.ts';

/** What the document says of a route, whoever answers it. */
export interface Described extends Omit<Operation, 'handle'> {
  /** As of a route: such take no idempotency key. */
  readonly recordsNothing?: boolean;
  readonly headers?: Schema<unknown>;
}

/** The interface as an OpenAPI 3.1 document, from the very operations that the server answers. */
export function openApiDocument(operations: readonly Described[], version: string): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const one of operations) {
    const path = one.path.replace('...}', '}');
    paths[path] = { ...paths[path], [one.method.toLowerCase()]: operationObject(one) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Writ',
      version,
      description: 'Private certificate authority for AI agents. Callers are who their client certificate says.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    security: [{ clientCertificate: [] }],
    paths,
    components: {
      securitySchemes: {
        clientCertificate: {
          type: 'mutualTLS',
          description: 'A certificate of this installation, good at this moment.',
        },
      },
      schemas: jsonSchemas(COMPONENTS),
      responses: {
        Problem: {
          description: 'Why not, as a problem document (RFC 9457).',
          content: { [PROBLEM_TYPE]: { schema: { $ref: '#/components/schemas/Problem' } } },
        },
      },
      parameters: { IdempotencyKey: IDEMPOTENCY_KEY },
    },
  };
}

function takesKey({ method, recordsNothing, anew }: Described): boolean {
  return method !== 'GET' && recordsNothing !== true && anew !== true;
}

const IDEMPOTENCY_KEY = {
  name: 'Idempotency-Key',
  in: 'header',
  description: 'A random UUID. The same request under the same key gets the first answer for 24 hours.',
  schema: { type: 'string', minLength: 16, maxLength: 255 },
};

function operationObject(one: Described): object {
  const { id, summary, action, access, body, rawBody, example } = one;
  const status = String(one.status ?? 200);
  return {
    operationId: id,
    summary,
    ...(action === undefined ? {} : { 'x-writ-action': action }),
    ...(access === 'public' ? { security: [] } : {}),
    parameters: [
      ...parametersOf(one.params, 'path'),
      ...parametersOf(one.query, 'query'),
      ...parametersOf(one.headers, 'header'),
      ...(takesKey(one) ? [{ $ref: '#/components/parameters/IdempotencyKey' }] : []),
    ],
    ...(rawBody === undefined ? {} : { requestBody: { required: true, content: { [rawBody]: {} } } }),
    ...(body === undefined ? {} : { requestBody: { required: true, content: jsonContent(body, example?.body) } }),
    responses: { [status]: answerObject(one), default: { $ref: '#/components/responses/Problem' } },
  };
}

function answerObject({ raw, status, answer, summary, example }: Described): object {
  if (status === 202 || status === 204) return { description: summary };
  if (raw !== undefined) return { description: summary, content: { [raw]: {} } };
  return { description: summary, content: jsonContent(answer!, example?.answer) };
}

function jsonContent(schema: Schema<unknown>, example: unknown): object {
  return {
    'application/json': {
      schema: { $ref: `#/components/schemas/${nameOf(schema)}` },
      ...(example === undefined ? {} : { example }),
    },
  };
}

function parametersOf(schema: Schema<unknown> | undefined, where: 'path' | 'query' | 'header'): object[] {
  if (schema === undefined) return [];
  return jsonMembers(schema).map(({ name, schema: member, required }) => ({
    name,
    in: where,
    required,
    schema: member,
  }));
}

/** Throws on a schema without a name: a defect of the list. */
function nameOf(schema: Schema<unknown>): string {
  const name = Object.keys(COMPONENTS).find((key) => COMPONENTS[key] === schema);
  if (name === undefined) throw new TypeError('a schema of an operation is not among the components');
  return name;
}
