import { hash } from 'node:crypto';
import { WritError } from '../base/error.ts';
import type { Random } from '../base/random.ts';
import type { Batch } from '../db/batch.ts';
import type { Reader } from '../db/database.ts';
import { type Name, parseName } from '../spiffe-id/name.ts';

/** Whose credential an operator is: a person counts once, however many operators they are. */
export interface OperatorPerson {
  readonly id: Name;
  /** True for somebody who is known already; false for somebody new. */
  readonly known: boolean;
  /** Only of somebody new. */
  readonly email?: string;
}

/** An e-mail address as the ledger may have it, and the salt that stays in the row. */
interface SaltedEmail {
  readonly salt: Uint8Array;
  /** Hex SHA-256 over salt and address. */
  readonly digest: string;
}

/**
 * Whose a new operator is: of the person who is named, known or not; otherwise of somebody new by the operator's own name.
 * Throws `bad_request` for what is no name or address, and `conflict` where somebody would be taken for another.
 */
export async function personOf(
  reader: Reader,
  operator: Name,
  given: { readonly person?: string | undefined; readonly email?: string | undefined },
): Promise<OperatorPerson> {
  const { email } = given;
  if (email !== undefined && !/^[^\s@\p{Cc}]{1,64}@[^\s@\p{Cc}]{1,255}$/u.test(email)) {
    throw new WritError('bad_request', 'The e-mail address is none.', {
      field: '/email',
      remedy: 'Give it like ada@example.com.',
    });
  }
  const id = given.person === undefined ? operator : parseName(given.person, '/person');
  const known = (await reader.get('SELECT 1 AS found FROM person WHERE id = ?', [id])) !== undefined;
  if (known && given.person === undefined) {
    throw new WritError('conflict', 'There is a person by that name already.', {
      field: '/person',
      remedy: 'Say whose credential it is with --person, or name the operator otherwise.',
    });
  }
  if (known && email !== undefined) {
    throw new WritError('conflict', 'The person is known already, and keeps the address given first.', {
      field: '/email',
      remedy: 'Leave it out.',
    });
  }
  return { id, known, ...(email === undefined ? {} : { email }) };
}

/** Whose the credential of a program is: nobody's, so that it counts in nothing that takes people. */
export const NOBODY = '';

/** Adds somebody new, or has the commit look that somebody known is there. Gives what the ledger may say of them. */
export function pushPerson(
  batch: Batch,
  { id, known, email }: OperatorPerson,
  at: { readonly now: number; readonly random: Random },
): { readonly person: string; readonly email_sha256?: string } {
  batch.checks.push({
    sql: 'SELECT 1 FROM person WHERE id = ?',
    params: [id],
    want: known ? 'present' : 'absent',
    refusal: 'conflict',
    reason: 'A person by this name was added meanwhile.',
  });
  if (known) return { person: id };
  const salted = email === undefined ? undefined : saltEmail(email, at.random);
  batch.writes.push({
    sql: 'INSERT INTO person (id, email, email_salt, created_at) VALUES (?, ?, ?, ?)',
    params: [id, email ?? null, salted?.salt ?? null, at.now],
  });
  return { person: id, ...(salted === undefined ? {} : { email_sha256: salted.digest }) };
}

function saltEmail(email: string, random: Random): SaltedEmail {
  const salt = random(16);
  return { salt, digest: hash('sha256', Buffer.concat([salt, Buffer.from(email, 'utf8')])) };
}

/** Whose an operator is; undefined when there is no such operator. */
export async function readPersonOf(reader: Reader, operator: string): Promise<string | undefined> {
  const row = await reader.get('SELECT person FROM operator WHERE name = ?', [operator]);
  return row?.['person'] as string | undefined;
}
