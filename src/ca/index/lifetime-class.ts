/**
 * Certificates by how long they live: the upper bounds of the classes, in milliseconds, rising; 0 for all that live
 * longer. Among rows of one class in the order of issue, those that are alive at an instant lie close together, however
 * many others are issued before and after.
 *
 * The bounds are the lifetimes that profiles give most, for which that is exact. They are part of an index on every
 * partition: another list needs another index.
 */
export const LIFETIME_CLASSES: readonly number[] = [900_000, 3_600_000, 21_600_000, 86_400_000, 0];

/** The class of a row, as SQL: the expression on which partitions are indexed, to be used as it is. */
export const LIFETIME_CLASS: string = `(CASE ${LIFETIME_CLASSES.map((bound) =>
  bound === 0 ? 'ELSE 0' : `WHEN expires_at - issued_at <= ${bound} THEN ${bound}`,
).join(' ')} END)`;

/** The class of a lifetime in milliseconds. */
export function lifetimeClass(lifetime: number): number {
  return LIFETIME_CLASSES.find((bound) => lifetime <= bound) ?? 0;
}
