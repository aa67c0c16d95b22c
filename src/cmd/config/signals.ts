import { readFileSync } from 'node:fs';
import { WritError } from '../../base/error.ts';
import type { TokenAlgorithm } from '../../ca/jwt/key.ts';
import type { OutboundOptions } from '../../http/outbound.ts';
import { LARGEST_JWKS, parseJwks } from '../../jwt/jwk.ts';
import { readSecretFile } from '../../keys/secret-file.ts';
import { hashBearer, type TrustedTransmitter } from '../../status/ssf/trusted.ts';
import { fail, keysOf, networksOf, oneOf, text } from './fields.ts';

/** Shared Signals, as `config.json` has it (docs/SHARED-SIGNALS.md). */
export interface SignalsConfig {
  /** The issuer identifier, an https URL under which receivers reach the API. Absent: the first name and the port of the API. */
  readonly issuer?: string;
  /** What tokens are signed with. Default ES256; RS256 for receivers that follow the CAEP Interoperability Profile. */
  readonly algorithm: TokenAlgorithm;
  /** Whom SETs may be pushed to. Absent: https, and public addresses alone. */
  readonly receivers: {
    readonly allowHttp: boolean;
    /** Networks like `10.0.0.0/8` in which receivers may stand. */
    readonly allowNetworks: readonly string[];
    /** PEM file of roots that receivers' certificates may lead to, beside the public ones. */
    readonly caFile?: string;
  };
  /** Whose signals make Writ quarantine. Absent: nobody's. */
  readonly trusted: readonly {
    readonly issuer: string;
    /** What their tokens name as audience. */
    readonly audience: string;
    /** File with their JWK Set. */
    readonly jwksFile: string;
    /** File with the bearer token that they show, owner-only. */
    readonly tokenFile: string;
  }[];
}

export const NO_SIGNALS: SignalsConfig = {
  algorithm: 'ES256',
  receivers: { allowHttp: false, allowNetworks: [] },
  trusted: [],
};

/** Throws `bad_config`. */
export function parseSignals(value: unknown): SignalsConfig {
  const given = keysOf(value, 'signals', ['issuer', 'algorithm', 'receivers', 'trusted']);
  const receivers = keysOf(given['receivers'] ?? {}, 'signals.receivers', ['allowHttp', 'allowNetworks', 'caFile']);
  const { allowHttp = false, allowNetworks, caFile } = receivers;
  if (typeof allowHttp !== 'boolean') fail('signals.receivers.allowHttp', 'is not true or false', 'Give one of them.');
  const networks = networksOf(allowNetworks, 'signals.receivers.allowNetworks');
  const { trusted = [] } = given;
  if (!Array.isArray(trusted) || trusted.length > 100) {
    fail('signals.trusted', 'is not a list', 'Give a list of at most a hundred issuers.');
  }
  return {
    ...(given['issuer'] === undefined ? {} : { issuer: parseIssuer(given['issuer']) }),
    algorithm: oneOf(given['algorithm'] ?? NO_SIGNALS.algorithm, 'signals.algorithm', ['ES256', 'RS256']),
    receivers: {
      allowHttp,
      allowNetworks: networks,
      ...(caFile === undefined ? {} : { caFile: text(caFile, 'signals.receivers.caFile') }),
    },
    trusted: trusted.map((one, at) => {
      const field = `signals.trusted.${at}`;
      const members = keysOf(one, field, ['issuer', 'audience', 'jwksFile', 'tokenFile']);
      const member = (name: string): string => text(members[name], `${field}.${name}`);
      return {
        issuer: member('issuer'),
        audience: member('audience'),
        jwksFile: member('jwksFile'),
        tokenFile: member('tokenFile'),
      };
    }),
  };
}

/** SSF 1.0 §7.1 allows a path; metadata would then stand elsewhere, and nobody here needs that. */
function parseIssuer(value: unknown): string {
  const url = text(value, 'signals.issuer');
  if (URL.canParse(url) && url.startsWith('https://') && new URL(url).origin === url) return url;
  return fail('signals.issuer', 'is not an https: URL without path', 'Write it like https://writ.example.com:8443.');
}

/** Reads the files that a configuration names. Throws `bad_config`, `not_found` and `unsafe_permissions`. */
export async function openTrusted({ trusted }: SignalsConfig): Promise<TrustedTransmitter[]> {
  const opened: TrustedTransmitter[] = [];
  for (const [at, { issuer, audience, jwksFile, tokenFile }] of trusted.entries()) {
    const field = `signals.trusted.${at}`;
    const keys = parseJwks(readFile(jwksFile, `${field}.jwksFile`), `${field}.jwksFile`);
    const secret = await readSecretFile(tokenFile, 1024, `${field}.tokenFile`);
    const token = secret.toString('latin1').trim();
    secret.fill(0);
    if (!/^[A-Za-z0-9._~+/-]{16,512}=*$/.test(token)) {
      throw new WritError('bad_config', 'The file holds no bearer token.', {
        field: `${field}.tokenFile`,
        remedy: 'Put one line of 16 to 512 letters, digits and ._~+/- into it (openssl rand -hex 32).',
      });
    }
    const bearerHash = hashBearer(token);
    if (opened.some((other) => Buffer.from(other.bearerHash).equals(bearerHash))) {
      throw new WritError('bad_config', 'Two issuers have the same bearer token.', {
        field: `${field}.tokenFile`,
        remedy: 'Give each issuer one of its own.',
      });
    }
    opened.push({ issuer, audience, keys, bearerHash });
  }
  return opened;
}

/** How SETs are pushed under a configuration. */
export function pushOptions({ receivers }: SignalsConfig): OutboundOptions {
  const { caFile, ...rules } = receivers;
  if (caFile === undefined) return rules;
  return { ...rules, roots: [readFile(caFile, 'signals.receivers.caFile').toString('latin1')] };
}

function readFile(path: string, field: string): Buffer {
  try {
    const octets = readFileSync(path);
    if (octets.length <= LARGEST_JWKS) return octets;
  } catch (cause) {
    throw new WritError('bad_config', 'The file cannot be read.', {
      field,
      remedy: 'Name a file that is there.',
      cause,
    });
  }
  throw new WritError('bad_config', 'The file is too large.', { field, remedy: 'It may have 64 KiB.' });
}
