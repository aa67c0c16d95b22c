import type { Reader } from '../db/database.ts';
import { EVERYBODY } from './group.ts';

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

/** How many of a group could agree to what `except`, a person or nobody (''), asks for. `now` in milliseconds. */
export async function countOthers(
  reader: Reader,
  { group, except, now }: { readonly group: string; readonly except: string; readonly now: number },
): Promise<number> {
  const [member, of] =
    group === EVERYBODY ? ['', []] : ['JOIN group_member g ON g.person = o.person AND g.group_name = ? ', [group]];
  const row = await reader.get(
    `SELECT COUNT(DISTINCT o.person) AS n FROM operator o ${member}WHERE ${ACTING} AND o.person <> ?`,
    [...of, now, except],
  );
  return Number(row?.['n'] ?? 0);
}
