import type { Reader } from '../db/database.ts';

/** How many people could agree to something at this moment. */
export interface ActingPeople {
  readonly all: number;
  /** By name of the group. */
  readonly ofGroup: ReadonlyMap<string, number>;
}

/** An active operator who is a person, with a certificate that has not expired: whoever has none cannot say anything. */
const ACTING =
  "o.status = 'active' AND o.person <> '' AND EXISTS " +
  '(SELECT 1 FROM operator_certificate c WHERE c.operator = o.name AND c.expires_at > ?)';

/** `now` in milliseconds. One person counts once, whatever credentials they hold. */
export async function readActingPeople(reader: Reader, now: number): Promise<ActingPeople> {
  const all = await reader.get(`SELECT COUNT(DISTINCT o.person) AS n FROM operator o WHERE ${ACTING}`, [now]);
  const rows = await reader.all(
    'SELECT g.group_name, COUNT(DISTINCT o.person) AS n FROM group_member g JOIN operator o ON o.person = g.person ' +
      `WHERE ${ACTING} GROUP BY g.group_name`,
    [now],
  );
  return {
    all: Number(all?.['n'] ?? 0),
    ofGroup: new Map(rows.map((row) => [row['group_name'] as string, Number(row['n'])])),
  };
}
