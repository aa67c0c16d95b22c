import * as z from 'zod';
import { PAGE_MEMBERS, type Page, type PageQuery, pageOf } from './page.ts';
import { type Schema, schemaOf } from './schema.ts';
import { id, type Labels, labels, name, scopes, time } from './text.ts';

/** Makes a join token; exactly one of `agent` and `service` is there. */
export interface CreateToken {
  readonly agent?: string;
  readonly service?: string;
  readonly uses?: number;
  readonly lifetime_seconds?: number;
  readonly workflow?: string;
  readonly scopes?: readonly string[];
  readonly labels?: Labels;
}

export const createToken: Schema<CreateToken> = schemaOf<CreateToken>()(
  z
    .strictObject({
      agent: name.exactOptional(),
      service: name.exactOptional(),
      uses: z.int().min(1).max(10_000).exactOptional(),
      lifetime_seconds: z.int().min(60).max(2_592_000).exactOptional(),
      workflow: z.string().min(1).max(255).exactOptional(),
      scopes: scopes.exactOptional(),
      labels: labels.exactOptional(),
    })
    .refine((token) => (token.agent === undefined) !== (token.service === undefined), {
      message: 'Give exactly one of agent and service.',
      path: ['agent'],
    }),
);

/** A join token without its secret. */
export interface Token {
  readonly id: string;
  /** Whom it lets in. */
  readonly kind: 'agent' | 'service';
  readonly name: string;
  readonly status: 'active' | 'spent' | 'expired' | 'revoked';
  readonly uses: number;
  readonly uses_left: number;
  readonly workflow?: string;
  readonly scopes: readonly string[];
  readonly labels: Labels;
  /** The instance that made it, when one did. */
  readonly parent?: string;
  /** Certificates of what it lets in end then, too. */
  readonly attested_until?: string;
  /** SPIFFE ID of whoever made it. */
  readonly created_by: string;
  readonly created_at: string;
  readonly expires_at: string;
  readonly revoked_at?: string;
  readonly last_used_at?: string;
}

const members = {
  id,
  kind: z.enum(['agent', 'service']),
  name,
  status: z.enum(['active', 'spent', 'expired', 'revoked']),
  uses: z.int().min(1),
  uses_left: z.int().min(0),
  workflow: z.string().max(255).exactOptional(),
  scopes,
  labels,
  parent: id.exactOptional(),
  attested_until: time.exactOptional(),
  created_by: z.string().max(2048),
  created_at: time,
  expires_at: time,
  revoked_at: time.exactOptional(),
  last_used_at: time.exactOptional(),
};

export const token: Schema<Token> = schemaOf<Token>()(z.strictObject(members));

/** The answer to a creation, the one time that the secret is shown. */
export interface CreatedToken extends Token {
  /** All that a newcomer needs: address, root fingerprint, secret. */
  readonly token: string;
}

export const createdToken: Schema<CreatedToken> = schemaOf<CreatedToken>()(
  z.strictObject({ ...members, token: z.string().max(1024) }),
);

export const tokenPage: Schema<Page<Token>> = pageOf(token);

export interface TokenQuery extends PageQuery {
  readonly agent?: string;
  readonly service?: string;
}

export const tokenQuery: Schema<TokenQuery> = schemaOf<TokenQuery>()(
  z.strictObject({ agent: name.exactOptional(), service: name.exactOptional(), ...PAGE_MEMBERS }),
);
