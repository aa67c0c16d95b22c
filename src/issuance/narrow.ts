import { WritError } from '../base/error.ts';

/** What a certificate says that it is for. */
export interface Context {
  readonly workflow?: string;
  readonly scopes: readonly string[];
}

/**
 * The scopes that a certificate gets: those of its holder, or the fewer that were asked for, in the holder's order.
 * Throws `denied` for one that the holder does not have: authority only narrows (DESIGN §3.6).
 */
export function narrow(holder: Context, wanted: readonly string[] | undefined): Context {
  if (wanted === undefined) return holder;
  const wider = wanted.findIndex((scope) => !holder.scopes.includes(scope));
  if (wider >= 0) {
    throw new WritError('denied', 'A scope was asked for that the instance was not enrolled with.', {
      field: `/scopes/${wider}`,
      remedy: 'Ask for scopes that it has, or enrol a new instance with a token for these.',
      reasons: ['A certificate never says more than the one before it.'],
    });
  }
  return { ...holder, scopes: holder.scopes.filter((scope) => wanted.includes(scope)) };
}

/** Whether `after` lost anything that `before` had. */
export function isNarrower(after: Context, before: Context): boolean {
  return after.scopes.length < before.scopes.length;
}
