import type { Caller, Facts } from '../base/access.ts';
import type { Reader } from '../db/database.ts';
import type { Agent } from './agent.ts';

const READ =
  'SELECT p.email, named.name AS named FROM operator o JOIN person p ON p.id = o.person ' +
  'LEFT JOIN operator named ON named.person = o.person AND named.name = ? WHERE o.name = ?';

/**
 * What policy is told of an operator who wants to stop an agent or service that names them as its sponsor: by the name of
 * the operator or of another credential of the same person, or by the person's e-mail address (the case of a to z does not
 * matter; Unicode would make a Kelvin sign a k).
 * Empty for everybody else, agents and programs among them: policy never sees the sponsor itself, who is personal data.
 */
export async function sponsorFacts(
  { operator }: Pick<Caller, 'operator'>,
  { sponsor }: Pick<Agent, 'sponsor'>,
  reader: Reader,
): Promise<Facts> {
  if (operator === undefined) return {};
  const row = await reader.get(READ, [sponsor, operator]);
  if (row === undefined) return {};
  const email = row['email'] as string | null;
  const named = row['named'] !== null || (email !== null && folded(email) === folded(sponsor));
  return named ? { bySponsor: true } : {};
}

function folded(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}
