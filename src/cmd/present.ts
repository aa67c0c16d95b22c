import type { Hierarchy } from '../ca/hierarchy.ts';
import type { Database } from '../db/database.ts';
import type { TrustDomain } from '../spiffe-id/trust-domain.ts';

/** What is asked of an installation before anything is changed: columns that every version has had. */
export type Present = Pick<Hierarchy, 'trustDomain' | 'nameConstraints'>;

const COLUMNS = {
  sqlite: "SELECT COUNT(*) AS n FROM pragma_table_info('hierarchy') WHERE name IN ('trust_domain', 'name_constraints')",
  postgres:
    'SELECT COUNT(*) AS n FROM information_schema.columns WHERE table_schema = ANY(current_schemas(false)) ' +
    "AND table_name = 'hierarchy' AND column_name IN ('trust_domain', 'name_constraints')",
};

/**
 * Looks whether there is an installation in a database, which may as well be empty, of an older version, or that of
 * another program: it is read only, so that a slip in a configuration changes nothing. Undefined where none is.
 */
export async function readPresent(database: Pick<Database, 'engine' | 'get'>): Promise<Present | undefined> {
  const columns = await database.get(COLUMNS[database.engine]);
  if (Number(columns?.['n']) !== 2) return undefined;
  const row = await database.get('SELECT trust_domain, name_constraints FROM hierarchy WHERE id = 1');
  if (row === undefined) return undefined;
  return {
    trustDomain: row['trust_domain'] as TrustDomain,
    nameConstraints: row['name_constraints'] as Uint8Array,
  };
}
