import * as z from 'zod';
import { type Schema, schemaOf } from './schema.ts';
import { whole } from './text.ts';

/** Asks for one page of a listing. */
export interface PageQuery {
  readonly limit?: number;
  readonly cursor?: string;
}

const cursor = z.string().min(1).max(512);

/** The members that every query of a listing has besides its filters. */
export const PAGE_MEMBERS: {
  readonly limit: z.ZodExactOptional<Schema<number>>;
  readonly cursor: z.ZodExactOptional<z.ZodString>;
} = {
  limit: z.exactOptional(whole(1, 200)),
  cursor: cursor.exactOptional(),
};

export const pageQuery: Schema<PageQuery> = schemaOf<PageQuery>()(z.strictObject(PAGE_MEMBERS));

export interface Page<T> {
  readonly items: readonly T[];
  /** Absent at the end. */
  readonly next_cursor?: string;
}

export function pageOf<T>(item: Schema<T>): Schema<Page<T>> {
  const page = z.strictObject({ items: z.array(item).max(200), next_cursor: cursor.exactOptional() });
  return page as unknown as Schema<Page<T>>;
}
