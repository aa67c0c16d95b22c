import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { WritError } from '../../base/error.ts';
import { parseAddress } from './address.ts';
import { type AttestationConfig, PUBLIC_ISSUERS, parseAttestation } from './attestation.ts';
import { type DatabaseConfig, parseDatabase } from './database.ts';
import { type FederationConfig, PUBLIC_ENDPOINTS, parseFederation } from './federation.ts';
import { fail, keysOf, oneOf, text, texts, whole } from './fields.ts';
import { NO_SIGNALS, parseSignals, type SignalsConfig } from './signals.ts';
import { parseWebhooks, type WebhookConfig } from './webhooks.ts';

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
