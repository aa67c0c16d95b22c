import type { Reply, Route } from '../http/route.ts';
import { FEED_ROUTES } from './feed.ts';
import { openApiDocument } from './openapi.ts';
import { entityTag, type Nothing, type Operation, type OperationParts, operation, routeOf } from './operation.ts';

/** The route tables of the two TLS listeners. */
export interface RouteTables {
  /** Mutual TLS: everything. */
  readonly api: readonly Route[];
  /** TLS without client certificates: what needs none. */
  readonly open: readonly Route[];
}

/**
 * Makes the tables from all operations, and adds the one that describes them. `version` is that of the program. Throws
 * on two operations with one id, method or path: a defect.
 */
export function routeTables(operations: readonly Operation[], version: string, parts: OperationParts): RouteTables {
  const all = withDescription(operations, version);
  const ids = new Set(all.map(({ id }) => id));
  if (ids.size !== all.length) throw new TypeError('two operations have the same id');
  const api = all.map((one) => routeOf(one, parts));
  return { api, open: api.filter((route) => route.access === 'public') };
}

/** The operations with the one that serves their description, made when it is first asked for. */
export function withDescription(operations: readonly Operation[], version: string): Operation[] {
  let document: { text: string; tag: string } | undefined;
  const all: Operation[] = [
    ...operations,
    operation<Nothing, Nothing, Nothing, Reply>({
      id: 'getOpenApi',
      method: 'GET',
      path: '/v1/openapi.json',
      access: 'public',
      summary: 'This interface as an OpenAPI 3.1 document.',
      raw: 'application/json',
      handle() {
        if (document === undefined) {
          const text = JSON.stringify(openApiDocument([...all, ...FEED_ROUTES], version));
          document = { text, tag: entityTag(text) };
        }
        return { status: 200, body: document.text, cache: 'public, max-age=300', etag: document.tag };
      },
    }),
  ];
  return all;
}
