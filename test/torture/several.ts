import type { Choices } from '../fuzz/random.ts';

const AT_ONCE = 8;

export function some<T>(list: readonly T[], most: number, choices: Choices): T[] {
  if (list.length <= most) return [...list];
  return Array.from({ length: most }, () => choices.pick(list));
}

/** Does it for each, a few at a time. */
export async function inTurns<T>(list: readonly T[], act: (item: T) => Promise<unknown>): Promise<void> {
  const queue = [...list];
  const turn = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) await act(next);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, turn));
}
