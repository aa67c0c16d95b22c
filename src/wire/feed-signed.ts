import * as z from 'zod';
import { type FeedTimeQuestion, MOST_NONCES, NONCE, type SignedStatement } from './feed-statement.ts';
import { type Schema, schemaOf } from './schema.ts';

/** What a server says under its signature. */
export const feedSigned: Schema<SignedStatement> = schemaOf<SignedStatement>()(
  z.strictObject({
    chain: z.array(z.string().max(65_536)).max(8),
    statement: z.string().max(16_777_216),
    signature: z.string().max(8192),
  }),
);

export const feedTimeQuestion: Schema<FeedTimeQuestion> = schemaOf<FeedTimeQuestion>()(
  z.strictObject({ nonces: z.array(z.string().regex(NONCE)).min(1).max(MOST_NONCES) }),
);
