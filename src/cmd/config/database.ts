import { keysOf, oneOf, text, whole } from './fields.ts';

/** Where everything is stored: a file in the data directory, or a server. */
export type DatabaseConfig =
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

/** The port is 5432 and reading connections are 4 where nothing is said. Throws `bad_config`. */
export function parseDatabase(value: unknown): DatabaseConfig {
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
