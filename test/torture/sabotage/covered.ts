/** Stands in for `coveredInstances` of `src/registry/covered.ts`: with `forget-last` a cascade forgets its last member. */
import { type CoveredInstance, coveredInstances as honest } from '../../../src/registry/covered.ts';

export const coveredInstances: typeof honest = (reader, target) => {
  const pages = honest(reader, target);
  return process.env['WRIT_SABOTAGE'] === 'forget-last' ? withoutLast(pages) : pages;
};

async function* withoutLast(
  pages: AsyncIterable<readonly CoveredInstance[]>,
): AsyncGenerator<readonly CoveredInstance[]> {
  for await (const page of pages) yield page.length > 1 ? page.slice(0, -1) : page;
}
