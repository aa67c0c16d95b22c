import * as z from 'zod';
import { ERROR_CODES, type ErrorCode } from '../base/error.ts';
import { type Schema, schemaOf } from './schema.ts';
import { id, spiffeId, time } from './text.ts';

/** Asks for a JWT-SVID: for the caller itself, or for an instance that it let in. */
export interface CreateJwtSvid {
  /** Whom the token is for; one name is best (JWT-SVID §7.2). */
  readonly audience: readonly string[];
  readonly instance?: string;
  /** Default 300. */
  readonly lifetime_seconds?: number;
}

const wanted = {
  audience: z
    .array(
      z
        .string()
        .min(1)
        .max(512)
        .regex(/^[^\p{Cc}]+$/u, 'Give a name without control characters.'),
    )
    .min(1)
    .max(8)
    .describe('The names that receivers of the token go by. One is best.'),
  lifetime_seconds: z.int().min(1).max(3600).exactOptional(),
};

export const createJwtSvid: Schema<CreateJwtSvid> = schemaOf<CreateJwtSvid>()(
  z.strictObject({ ...wanted, instance: id.exactOptional() }),
);

export interface JwtSvid {
  readonly token: string;
  readonly spiffe_id: string;
  readonly expires_at: string;
}

export const jwtSvid: Schema<JwtSvid> = schemaOf<JwtSvid>()(
  z.strictObject({ token: z.string().max(65_536), spiffe_id: spiffeId, expires_at: time }),
);

/** Tokens of one request at most. */
export const MOST_JWT_SVIDS = 64;

/** Asks for tokens of instances that the caller let in. */
export interface CreateJwtSvids {
  readonly tokens: readonly (CreateJwtSvid & { readonly instance: string })[];
}

export const createJwtSvids: Schema<CreateJwtSvids> = schemaOf<CreateJwtSvids>()(
  z.strictObject({
    tokens: z
      .array(z.strictObject({ ...wanted, instance: id }))
      .min(1)
      .max(MOST_JWT_SVIDS),
  }),
);

/** What became of each, in the order in which they were asked for: one of the two is there. */
export interface JwtSvids {
  readonly tokens: readonly {
    readonly svid?: JwtSvid;
    readonly fault?: { readonly code: ErrorCode; readonly detail: string; readonly remedy?: string };
  }[];
}

const fault = z.strictObject({
  code: z.enum(Object.keys(ERROR_CODES) as ErrorCode[]),
  detail: z.string().max(4000),
  remedy: z.string().max(4000).exactOptional(),
});

export const jwtSvids: Schema<JwtSvids> = schemaOf<JwtSvids>()(
  z.strictObject({
    tokens: z
      .array(
        z.strictObject({
          svid: z
            .strictObject({ token: z.string().max(65_536), spiffe_id: spiffeId, expires_at: time })
            .exactOptional(),
          fault: fault.exactOptional(),
        }),
      )
      .max(MOST_JWT_SVIDS),
  }),
);

/** Has another key follow the one that signs JWT-SVIDs. `at_once`: that one was stolen. */
export interface RotateJwtKey {
  readonly at_once?: boolean;
}

export const rotateJwtKey: Schema<RotateJwtKey> = schemaOf<RotateJwtKey>()(
  z.strictObject({ at_once: z.boolean().exactOptional() }),
);

export interface RotatedJwtKey {
  readonly kid: string;
  readonly signs_from: string;
}

export const rotatedJwtKey: Schema<RotatedJwtKey> = schemaOf<RotatedJwtKey>()(
  z.strictObject({ kid: z.string().max(256), signs_from: time }),
);
