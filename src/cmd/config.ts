import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { WritError } from '../base/error.ts';
import { type AttestationConfig, PUBLIC_ISSUERS } from './attestation-config.ts';
import { type FederationConfig, PUBLIC_ENDPOINTS } from './federation-config.ts';
import { NO_SIGNALS, type SignalsConfig } from './signals-config.ts';

/**
 * The configuration of one installation: `config.json` in the data directory, written by `writ init`, changed by hand
 * or by the flags of `writ start` (a flag wins). Secrets never stand here; where one is needed, the path of its file does.
 */
export interface Config {
  /** Fixed at `init`; every identity and name constraint carries it. */
  readonly trustDomain: string;
  /** DNS names and IP addresses under which clients reach this server. The first is put into join tokens. */
  readonly names: readonly string[];
  /** `host:port` of each listener; port 0 takes a free one. */
  readonly listen: { readonly api: string; readonly public: string; readonly plain: string };
  /**
   * Where relying parties reach the plain listener, if not under the first of `names` and its port: behind a proxy. It
   * stands in every certificate, so it is `http:` and should never change. Without a slash at the end.
   */
  readonly statusUrl?: string;
  /**
   * `iss` of JWT-SVIDs: the https URL under which their receivers fetch `/.well-known/openid-configuration` and `/keys` of
   * the public listener, without a slash at the end (docs/FEDERATION.md). Absent: the first of `names`, and its port.
   */
  readonly jwtIssuer?: string;
  readonly database: DatabaseConfig;
  /** Directory for what must survive the loss of the database. Best on other storage. */
  readonly anchor: string;
  /** Threads that answer requests. */
  readonly requestThreads: number;
  /** Days that index rows stay past the expiry of what they describe. The ledger keeps everything. */
  readonly retentionDays: number;
  /** Instances that one person may stop for ever alone; more are quarantined until a second person confirms it. */
  readonly massStop: number;
  /** Stops that one operator makes within a minute, whichever way; more are refused. */
  readonly stopsAMinute: number;
  /** Shared Signals: who may be told of stops, and whose signals count. */
  readonly signals: SignalsConfig;
  /** Where evidence of newcomers is looked up. */
  readonly attestation: AttestationConfig;
  /** How bundles of other trust domains are fetched. */
  readonly federation: FederationConfig;
  /** Requests a second that one caller may make, and how many may come at once. */
  readonly rateLimit: { readonly perSecond: number; readonly burst: number };
  /**
   * The same of requests that may change something, for one instance of an agent or service: each leaves an entry in the
   * ledger, which stays.
   */
  readonly writeLimit: { readonly perSecond: number; readonly burst: number };
  /**
   * In place of it, for what a node asks for the workloads that it lets in: an instance of a service that has registration
   * entries, when it lets a workload in, renews or stops one, or asks for a token. Ten thousand that live an hour and have
   * tokens for two receivers are 140 a second, and begin at one moment when their node starts again.
   */
  readonly nodeLimit: { readonly perSecond: number; readonly burst: number };
  /** URLs that are told of requests for approval and what becomes of them (`docs/APPROVALS.md`). */
  readonly webhooks: readonly WebhookConfig[];
  /** Least severe kind of message that is logged. */
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
}

/** A receiver of notices. */
interface WebhookConfig {
  /** `https:`, or `http:` on loopback. */
  readonly url: string;
  /** File with the secret that signs, owner-only. */
  readonly keyFile: string;
  /** File with the authority that signed the receiver's certificate. Absent: those that Node knows. */
  readonly caFile?: string;
}

type DatabaseConfig =
  | { readonly engine: 'sqlite' }
  | {
      readonly engine: 'postgres';
      /** Host name, address, or directory of a unix socket. */
      readonly host: string;
      readonly port: number;
      readonly database: string;
      readonly user: string;
      /** File with the password, owner-only. Absent: none is sent (peer or certificate authentication). */
      readonly passwordFile?: string;
      /** File with the CA that signed the server's certificate. Absent: no TLS, allowed on loopback and sockets only. */
      readonly tlsCaFile?: string;
      /** Reading connections of one request thread. */
      readonly pool: number;
    };

/** What every field is unless told otherwise; `trustDomain` and `anchor` have none. */
export function defaultConfig(trustDomain: string, anchor: string): Config {
  return {
    trustDomain,
    names: ['localhost', '127.0.0.1', '::1'],
    listen: { api: '127.0.0.1:8443', public: '127.0.0.1:8444', plain: '127.0.0.1:8480' },
    database: { engine: 'sqlite' },
    anchor,
    requestThreads: Math.max(1, Math.min(8, availableParallelism() - 1)),
    retentionDays: 400,
    massStop: 100,
    stopsAMinute: 60,
    signals: NO_SIGNALS,
    attestation: PUBLIC_ISSUERS,
    federation: PUBLIC_ENDPOINTS,
    rateLimit: { perSecond: 2000, burst: 4000 },
    writeLimit: { perSecond: 20, burst: 200 },
    nodeLimit: { perSecond: 200, burst: 10_000 },
    webhooks: [],
    logLevel: 'info',
  };
}

/** Reads and checks a configuration file. Unknown keys are refused; absent ones get their default. */
export function readConfig(path: string): Config {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    throw new WritError('bad_config', missing ? 'There is no configuration file' : 'The configuration is not JSON', {
      field: path,
      remedy: missing ? 'Run "writ init" first, or name the data directory with --data.' : 'Mend the file.',
      cause,
    });
  }
  return parseConfig(value);
}

/** Checks a parsed configuration. The error names the key by its path. */
export function parseConfig(value: unknown): Config {
  const given = keysOf(value, '', [
    'trustDomain',
    'names',
    'listen',
    'statusUrl',
    'jwtIssuer',
    'database',
    'anchor',
    'requestThreads',
    'retentionDays',
    'massStop',
    'stopsAMinute',
    'signals',
    'attestation',
    'federation',
    'rateLimit',
    'writeLimit',
    'nodeLimit',
    'webhooks',
    'logLevel',
  ]);
  const base = defaultConfig(text(given['trustDomain'], 'trustDomain'), text(given['anchor'], 'anchor'));
  const listen = keysOf(given['listen'] ?? {}, 'listen', ['api', 'public', 'plain']);
  return {
    ...base,
    names: given['names'] === undefined ? base.names : texts(given['names'], 'names'),
    listen: {
      api: parseAddress(listen['api'] ?? base.listen.api, 'listen.api'),
      public: parseAddress(listen['public'] ?? base.listen.public, 'listen.public'),
      plain: parseAddress(listen['plain'] ?? base.listen.plain, 'listen.plain'),
    },
    ...(given['statusUrl'] === undefined ? {} : { statusUrl: parseStatusUrl(given['statusUrl']) }),
    ...(given['jwtIssuer'] === undefined ? {} : { jwtIssuer: parseJwtIssuer(given['jwtIssuer']) }),
    database: given['database'] === undefined ? base.database : parseDatabase(given['database']),
    requestThreads: whole(given['requestThreads'] ?? base.requestThreads, 'requestThreads', 1, 64),
    retentionDays: whole(given['retentionDays'] ?? base.retentionDays, 'retentionDays', 0, 36_500),
    massStop: whole(given['massStop'] ?? base.massStop, 'massStop', 0, 1_000_000),
    stopsAMinute: whole(given['stopsAMinute'] ?? base.stopsAMinute, 'stopsAMinute', 1, 1_000_000),
    signals: given['signals'] === undefined ? base.signals : parseSignals(given['signals']),
    attestation: given['attestation'] === undefined ? base.attestation : parseAttestation(given['attestation']),
    federation: given['federation'] === undefined ? base.federation : parseFederation(given['federation']),
    rateLimit: parseRate(given['rateLimit'], 'rateLimit', base.rateLimit),
    writeLimit: parseRate(given['writeLimit'], 'writeLimit', base.writeLimit),
    nodeLimit: parseRate(given['nodeLimit'], 'nodeLimit', base.nodeLimit),
    webhooks: parseWebhooks(given['webhooks']),
    logLevel: oneOf(given['logLevel'] ?? base.logLevel, 'logLevel', ['debug', 'info', 'warn', 'error']),
  };
}

function parseRate(value: unknown, field: string, base: Config['rateLimit']): Config['rateLimit'] {
  const given = keysOf(value ?? {}, field, ['perSecond', 'burst']);
  return {
    perSecond: whole(given['perSecond'] ?? base.perSecond, `${field}.perSecond`, 1, 1_000_000),
    burst: whole(given['burst'] ?? base.burst, `${field}.burst`, 1, 1_000_000),
  };
}

function parseSignals(value: unknown): SignalsConfig {
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

function parseDatabase(value: unknown): DatabaseConfig {
  const engine = (value as { engine?: unknown } | null)?.engine;
  if (oneOf(engine, 'database.engine', ['sqlite', 'postgres']) === 'sqlite') {
    keysOf(value, 'database', ['engine']);
    return { engine: 'sqlite' };
  }
  const given = keysOf(value, 'database', [
    'engine',
    'host',
    'port',
    'database',
    'user',
    'passwordFile',
    'tlsCaFile',
    'pool',
  ]);
  return {
    engine: 'postgres',
    host: text(given['host'], 'database.host'),
    port: whole(given['port'] ?? 5432, 'database.port', 1, 65_535),
    database: text(given['database'] ?? 'writ', 'database.database'),
    user: text(given['user'] ?? 'writ', 'database.user'),
    pool: whole(given['pool'] ?? 4, 'database.pool', 1, 100),
    ...(given['passwordFile'] === undefined
      ? {}
      : { passwordFile: text(given['passwordFile'], 'database.passwordFile') }),
    ...(given['tlsCaFile'] === undefined ? {} : { tlsCaFile: text(given['tlsCaFile'], 'database.tlsCaFile') }),
  };
}

/** Splits `host:port`; an IPv6 host stands in brackets. */
export function splitAddress(value: string): { host: string; port: number } {
  const colon = value.lastIndexOf(':');
  const host = value.slice(0, colon);
  return { host: host.startsWith('[') ? host.slice(1, -1) : host, port: Number(value.slice(colon + 1)) };
}

/** The reverse: an IPv6 address stands in brackets. */
export function hostAndPort(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** Checks `host:port`. Throws `bad_config` naming the field. */
export function parseAddress(value: unknown, field: string): string {
  const checked = text(value, field);
  if (!/^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):\d{1,5}$/.test(checked) || splitAddress(checked).port > 65_535) {
    fail(field, 'is not host:port', 'Write it like 127.0.0.1:8443 or [::1]:8443.');
  }
  return checked;
}

/** RFC 5280 §8: what is fetched in order to judge a certificate is not fetched over TLS. */
function parseStatusUrl(value: unknown): string {
  const url = text(value, 'statusUrl');
  if (!/^http:\/\/[^\s/?#@]+(\/[^\s?#]*[^\s?#/])?$/.test(url) || !URL.canParse(url)) {
    fail('statusUrl', 'is not an http: URL without a slash at the end', 'Write it like http://ca.example.com.');
  }
  return url;
}

/** OpenID Connect Discovery 1.0 §3: https, perhaps with a path, without query and fragment. */
function parseJwtIssuer(value: unknown): string {
  const url = text(value, 'jwtIssuer');
  if (!/^https:\/\/[^\s/?#@]+(\/[^\s?#]*[^\s?#/])?$/.test(url) || !URL.canParse(url)) {
    fail('jwtIssuer', 'is not an https: URL without a slash at the end', 'Write it like https://id.example.com.');
  }
  return url;
}

/** None where none are given, and where an empty list says so, as a new installation's file does. */
function networksOf(value: unknown, field: string): readonly string[] {
  return value === undefined || (Array.isArray(value) && value.length === 0) ? [] : texts(value, field);
}

function parseAttestation(value: unknown): AttestationConfig {
  const { allowNetworks, caFile, reviewerTokens } = keysOf(value, 'attestation', [
    'allowNetworks',
    'caFile',
    'reviewerTokens',
  ]);
  const tokens = Object.entries(
    keysOf(reviewerTokens ?? {}, 'attestation.reviewerTokens', Object.keys(reviewerTokens ?? {})),
  );
  return {
    reviewerTokens: Object.fromEntries(
      tokens.map(([name, file]) => [name, text(file, `attestation.reviewerTokens.${name}`)]),
    ),
    allowNetworks: networksOf(allowNetworks, 'attestation.allowNetworks'),
    ...(caFile === undefined ? {} : { caFile: text(caFile, 'attestation.caFile') }),
  };
}

function parseFederation(value: unknown): FederationConfig {
  const { allowNetworks, caFile } = keysOf(value, 'federation', ['allowNetworks', 'caFile']);
  return {
    allowNetworks: networksOf(allowNetworks, 'federation.allowNetworks'),
    ...(caFile === undefined ? {} : { caFile: text(caFile, 'federation.caFile') }),
  };
}

function parseWebhooks(value: unknown): readonly WebhookConfig[] {
  if (value === undefined) return [];
  if (!Array.isArray(value) || value.length > 8) fail('webhooks', 'is not a list of at most eight', 'Give a list.');
  return value.map((one, index) => {
    const field = `webhooks.${index}`;
    const given = keysOf(one, field, ['url', 'keyFile', 'caFile']);
    const url = URL.parse(text(given['url'], `${field}.url`));
    const loopback = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url?.hostname ?? '');
    const safe = url?.protocol === 'https:' || (url?.protocol === 'http:' && loopback);
    if (url === null || !safe || url.username + url.password + url.hash !== '') {
      fail(
        `${field}.url`,
        'is no URL to tell things to',
        'Write it like https://hooks.example.com/writ, without a password.',
      );
    }
    return {
      url: url.href,
      keyFile: text(given['keyFile'], `${field}.keyFile`),
      ...(given['caFile'] === undefined ? {} : { caFile: text(given['caFile'], `${field}.caFile`) }),
    };
  });
}

function keysOf(value: unknown, field: string, known: readonly string[]): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    fail(field === '' ? 'config' : field, 'is not an object', 'Write { … }.');
  }
  const unknown = Object.keys(value).find((key) => !known.includes(key));
  if (unknown !== undefined) {
    fail(field === '' ? unknown : `${field}.${unknown}`, 'is not a known key', `Known here: ${known.join(', ')}.`);
  }
  return value as Record<string, unknown>;
}

function text(value: unknown, field: string): string {
  if (value === undefined) fail(field, 'is missing', 'Add it to the file, a string.');
  if (typeof value !== 'string' || value === '' || value.length > 4096) fail(field, 'is not a text', 'Give a string.');
  return value;
}

function texts(value: unknown, field: string): readonly string[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > 100) {
    fail(field, 'is not a list', 'Give a list of one to a hundred strings.');
  }
  return value.map((item, index) => text(item, `${field}.${index}`));
}

function whole(value: unknown, field: string, least: number, most: number): number {
  if (!Number.isInteger(value) || (value as number) < least || (value as number) > most) {
    fail(field, 'is not in range', `Give a whole number from ${least} to ${most}.`);
  }
  return value as number;
}

function oneOf<T extends string>(value: unknown, field: string, choices: readonly T[]): T {
  if (!choices.includes(value as T)) fail(field, 'is not a known value', `Use one of: ${choices.join(', ')}.`);
  return value as T;
}

function fail(field: string, fault: string, remedy: string): never {
  throw new WritError('bad_config', `The configuration value ${fault}`, { field, remedy });
}
