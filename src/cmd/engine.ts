import type { Database } from '../db/database.ts';
import { openPostgres } from '../db/postgres.ts';
import { openSqlite } from '../db/sqlite.ts';
import type { Config } from './config/config.ts';
import type { DataDirectory } from './data-directory.ts';

/** Opens the database that the configuration names. With `readOnly`, for a thread that only asks. */
export async function openEngine(
  config: Config,
  directory: Pick<DataDirectory, 'database'>,
  options: { readonly readOnly: boolean },
): Promise<Database> {
  const { database } = config;
  if (database.engine === 'sqlite') return openSqlite({ path: directory.database, ...options });
  const { host, port, user, passwordFile, tlsCaFile, pool } = database;
  return openPostgres({
    host,
    port,
    database: database.database,
    user,
    readers: pool,
    ...options,
    ...(passwordFile === undefined ? {} : { passwordFile }),
    ...(tlsCaFile === undefined ? {} : { tls: { rootFile: tlsCaFile } }),
  });
}
