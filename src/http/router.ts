import type { Route } from './route.ts';

/** The routes of one path by method, and the value of the `Allow` header for all others. */
interface Resource {
  readonly methods: ReadonlyMap<string, Route>;
  readonly allow: string;
}

interface Match {
  readonly resource: Resource;
  readonly params: readonly string[];
}

/** Finds the resource of a path without its query. Undefined when there is none. Never throws. */
export type Router = (path: string) => Match | undefined;

/**
 * Paths without parameters are one look-up in a map. The others go segment by segment; a literal segment wins over a
 * parameter, and there is no backtracking: two templates that differ only behind a parameter and a literal at the same
 * place must both exist below the literal. Throws on two routes with one method and path: a defect of the table.
 */
export function createRouter(routes: readonly Route[]): Router {
  const fixed = new Map<string, Match>();
  const root = emptyNode();
  for (const [path, methods] of byPath(routes)) {
    const resource = { methods, allow: allowOf(methods) };
    if (path.includes('{')) place(root, path.split('/').slice(1), resource);
    else fixed.set(path, { resource, params: [] });
  }
  return (path) => fixed.get(path) ?? find(root, path);
}

interface Node {
  readonly literal: Map<string, Node>;
  /** One whole segment, whose fixed ending (perhaps none) is cut off. */
  parameter: { readonly ending: string; readonly node: Node } | undefined;
  /** `{name...}`: all that is left. */
  rest: Resource | undefined;
  resource: Resource | undefined;
}

function emptyNode(): Node {
  return { literal: new Map(), parameter: undefined, rest: undefined, resource: undefined };
}

function byPath(routes: readonly Route[]): Map<string, Map<string, Route>> {
  const paths = new Map<string, Map<string, Route>>();
  for (const route of routes) {
    const methods = paths.get(route.path) ?? new Map<string, Route>();
    if (methods.has(route.method)) throw new TypeError(`two routes for ${route.method} ${route.path}`);
    paths.set(route.path, methods.set(route.method, route));
  }
  return paths;
}

function allowOf(methods: ReadonlyMap<string, Route>): string {
  const names = [...methods.keys()];
  return (methods.has('GET') ? [...names, 'HEAD'] : names).sort().join(', ');
}

function place(from: Node, segments: readonly string[], resource: Resource): void {
  let node = from;
  for (const segment of segments) {
    if (segment.endsWith('...}')) {
      node.rest = resource;
      return;
    }
    const parameter = /^\{\w+\}(.*)$/.exec(segment);
    if (parameter !== null) {
      node.parameter ??= { ending: parameter[1]!, node: emptyNode() };
      if (node.parameter.ending !== parameter[1]) throw new TypeError(`two endings for one parameter: ${segment}`);
      node = node.parameter.node;
    } else {
      const next = node.literal.get(segment) ?? emptyNode();
      node.literal.set(segment, next);
      node = next;
    }
  }
  node.resource = resource;
}

function find(from: Node, path: string): Match | undefined {
  let node = from;
  const params: string[] = [];
  for (let at = 1; at <= path.length; ) {
    const slash = path.indexOf('/', at);
    const end = slash === -1 ? path.length : slash;
    const literal = node.literal.get(path.slice(at, end));
    if (literal !== undefined) node = literal;
    else if (node.parameter !== undefined) {
      const value = parameterValue(path.slice(at, end), node.parameter.ending);
      if (value === undefined) return undefined;
      params.push(value);
      node = node.parameter.node;
    } else if (node.rest !== undefined) {
      params.push(path.slice(at));
      return { resource: node.rest, params };
    } else return undefined;
    at = end + 1;
  }
  return node.resource === undefined ? undefined : { resource: node.resource, params };
}

function parameterValue(segment: string, ending: string): string | undefined {
  if (segment.length <= ending.length || !segment.endsWith(ending)) return undefined;
  const value = segment.slice(0, segment.length - ending.length);
  if (!value.includes('%')) return value;
  try {
    return decodeURIComponent(value);
  } catch {
    return undefined;
  }
}
