import { isWritError, WritError } from '../base/error.ts';
import type { Input } from './command.ts';

/** One JSON object of an answer. The server made it; a command reads it through the functions below. */
export type Item = Readonly<Record<string, unknown>>;

export type Query = Readonly<Record<string, string | number | undefined>>;

/** The REST interface as commands use it. Errors are `WritError`s with the code of the problem document. */
export interface Api {
  get(path: string, query?: Query): Promise<Item>;
  /** A document that is not JSON. */
  text(path: string): Promise<string>;
  /** Writes carry an idempotency key of their own and are repeated under it when the connection breaks. */
  post(path: string, body: Item): Promise<Item>;
  patch(path: string, body: Item): Promise<Item>;
  put(path: string, body: Item): Promise<Item>;
  /** DELETE. */
  remove(path: string): Promise<Item>;
  /** `https://host:port`. */
  readonly server: string;
}

/** Opens the interface with the operator's credential, lends it to a command, and closes it. */
export type WithApi = <T>(input: Input, act: (api: Api) => Promise<T>) => Promise<T>;

/** A text member, or the empty text. */
export function textOf(item: Item, key: string): string {
  const value = item[key];
  return value === undefined || value === null ? '' : typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** A member that is an object, or an empty one. */
export function itemOf(item: Item, key: string): Item {
  const value = item[key];
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Item) : {};
}

/** A member that is a list of objects, or an empty one. */
export function itemsOf(item: Item, key: string): readonly Item[] {
  const value = item[key];
  return Array.isArray(value) ? (value as Item[]) : [];
}

const PAGE = 200;

/**
 * The items of a listing, at most `most`, page by page: a page may be short or empty and yet not be the last
 * (`docs/REST.md`). Gives the cursor to go on with when there is more.
 */
export async function readPages(
  api: Api,
  path: string,
  query: Query,
  most: number,
): Promise<{ items: Item[]; next: string | undefined }> {
  const items: Item[] = [];
  let cursor = query['cursor'];
  do {
    const page = await api.get(path, { ...query, cursor, limit: Math.min(PAGE, most - items.length) });
    items.push(...itemsOf(page, 'items'));
    cursor = textOf(page, 'next_cursor') || undefined;
  } while (cursor !== undefined && items.length < most);
  return { items, next: cursor === undefined ? undefined : String(cursor) };
}

/**
 * Whether a name is that of an agent or of a service; the two share one space of names. Throws `not_found` when it is
 * neither.
 */
export async function kindOf(api: Api, name: string): Promise<'agent' | 'service'> {
  const path = encodeURIComponent(name);
  try {
    await api.get(`/v1/agents/${path}`);
    return 'agent';
  } catch (error) {
    if (!isWritError(error, 'not_found')) throw error;
  }
  try {
    await api.get(`/v1/services/${path}`);
    return 'service';
  } catch (error) {
    if (!isWritError(error, 'not_found')) throw error;
    throw new WritError('not_found', 'There is no agent and no service by that name', {
      field: 'name',
      remedy: 'See "writ agent list" and "writ service list", or register it.',
    });
  }
}
