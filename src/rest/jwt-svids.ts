import type { Caller } from '../base/access.ts';
import { WritError } from '../base/error.ts';
import type { RotatedSvidKey } from '../ca/bundle/svid-keys.ts';
import type { Reply } from '../http/route.ts';
import type { IssuedJwtSvid, JwtSvidRequest } from '../issuance/jwt-svid.ts';
import type * as wire from '../wire/jwt-svid.ts';
import { createJwtSvid, createJwtSvids, jwtSvid, jwtSvids, rotatedJwtKey, rotateJwtKey } from '../wire/jwt-svid.ts';
import { entityTag, type Nothing, type Operation, operation, type WriteOptions } from './operation.ts';
import { statusOf } from './problems.ts';
import { given, timeText } from './render.ts';

/** What the routes of JWT-SVIDs need. Each that takes a caller asks policy. */
export interface JwtSvids {
  issue(caller: Caller, request: JwtSvidRequest): Promise<IssuedJwtSvid>;
  rotateKey(caller: Caller, wanted: { readonly atOnce: boolean }, options: WriteOptions): Promise<RotatedSvidKey>;
  /** `iss` of the tokens. */
  issuer(): string;
  /** The keys that they are to be verified with, for readers of JWK Sets. */
  keys(): Promise<readonly object[]>;
}

/** Those who verify look again within this time, and before where they meet a key that they do not know. */
const CACHE = 'public, max-age=300';
const JSON_TYPE = 'application/json';
/** Of a request for the most tokens for the most and longest audiences. */
const MANY_LIMIT = 384 * 1024;

const EXAMPLE: wire.JwtSvid = {
  token: 'eyJhbGciOiJFUzI1NiIs…',
  spiffe_id: 'spiffe://agents.example.com/agent/planner/01kaj8x5y7zq4m2n6p8r0t2v4w',
  expires_at: '2026-11-22T14:08:22.000Z',
};

export function jwtSvidOperations(tokens: JwtSvids): Operation[] {
  const issue = async (
    caller: Caller,
    { audience, instance, lifetime_seconds: lifetime }: wire.CreateJwtSvid,
  ): Promise<wire.JwtSvid> => {
    const request = { audience, ...given('instance', instance), ...given('lifetime', lifetime) };
    const { token, id, expiresAt } = await tokens.issue(caller, request);
    return { token, spiffe_id: id, expires_at: timeText(expiresAt) };
  };
  return [
    operation({
      id: 'createJwtSvid',
      method: 'POST',
      path: '/v1/jwt-svids',
      access: 'caller',
      action: 'jwt.issue',
      anew: true,
      byNodes: true,
      summary: 'Gives a JWT-SVID to the instance that asks, for itself or for one that it let in.',
      body: createJwtSvid,
      answer: jwtSvid,
      example: { body: { audience: ['https://reports.example.com'] }, answer: EXAMPLE },
      handle: ({ caller, body }) => issue(caller, body),
    }),
    operation({
      id: 'createJwtSvids',
      method: 'POST',
      path: '/v1/workloads/jwt-svids',
      access: 'caller',
      action: 'jwt.issue',
      anew: true,
      byNodes: true,
      summary:
        'Gives JWT-SVIDs to the node that asks, for many of those that it let in at once; each counts as a request.',
      body: createJwtSvids,
      bodyLimit: MANY_LIMIT,
      answer: jwtSvids,
      example: {
        body: { tokens: [{ instance: '01kaj8x5y7zq4m2n6p8r0t2v4w', audience: ['https://reports.example.com'] }] },
        answer: { tokens: [{ svid: EXAMPLE }] },
      },
      async handle({ caller, body, charge }) {
        charge(body.tokens.length - 1);
        return { tokens: await Promise.all(body.tokens.map((one) => outcomeOf(issue(caller, one)))) };
      },
    }),
    operation({
      id: 'rotateJwtKey',
      method: 'POST',
      path: '/v1/trust/jwt-keys/rotate',
      access: 'caller',
      action: 'authority.rotate',
      summary: 'Has another key follow the one that signs JWT-SVIDs; at once where that one was stolen.',
      body: rotateJwtKey,
      answer: rotatedJwtKey,
      example: {
        body: {},
        answer: { kid: 'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs', signs_from: '2026-11-23T14:03:22.000Z' },
      },
      async handle({ caller, body: { at_once: atOnce = false }, idempotency }) {
        const { kid, signsFrom } = await tokens.rotateKey(caller, { atOnce }, { idempotency });
        return { kid, signs_from: timeText(signsFrom) };
      },
    }),
    document('getOpenidConfiguration', '/.well-known/openid-configuration', {
      summary: 'Who issues JWT-SVIDs and where their keys are (OpenID Connect Discovery 1.0 §3).',
      body: async () => configuration(tokens.issuer()),
    }),
    document('getJwtKeys', '/keys', {
      summary: 'The keys that JWT-SVIDs are verified with, as a JWK Set.',
      body: async () => ({ keys: await tokens.keys() }),
    }),
  ];
}

/** What concerns one token is said of that one; what concerns the installation is thrown. */
async function outcomeOf(issuing: Promise<wire.JwtSvid>): Promise<wire.JwtSvids['tokens'][number]> {
  try {
    return { svid: await issuing };
  } catch (error) {
    if (!(error instanceof WritError) || statusOf(error.code) >= 500) throw error;
    const { code, message, remedy } = error;
    return { fault: { code, detail: message, ...given('remedy', remedy) } };
  }
}

/** For readers of OpenID Connect, none of whom sends anybody here to log in: there is no endpoint for that. */
function configuration(issuer: string): object {
  return {
    issuer,
    jwks_uri: `${issuer}/keys`,
    response_types_supported: ['id_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['ES256'],
    claims_supported: ['iss', 'sub', 'aud', 'iat', 'exp', 'jti'],
  };
}

function document(
  id: string,
  path: string,
  { summary, body }: { readonly summary: string; readonly body: () => Promise<object> },
): Operation {
  return operation<Nothing, Nothing, Nothing, Reply>({
    id,
    method: 'GET',
    path,
    access: 'public',
    summary,
    raw: JSON_TYPE,
    async handle() {
      const text = JSON.stringify(await body());
      return { status: 200, body: text, cache: CACHE, etag: entityTag(text) };
    },
  });
}
