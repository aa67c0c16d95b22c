/**
 * Loaded with `--import` into a server or a point whose harness is to be caught: gives whoever imports one of these modules
 * of the product all that it exports, but one thing from the module of this folder by the same name. The product knows
 * nothing of it.
 */
import { registerHooks } from 'node:module';

/** Modules of the product, what stands in for something of them, and what that is. */
const IMPOSTORS: readonly (readonly [product: URL, impostor: URL, name: string])[] = [
  [product('cmd/recorder.ts'), new URL('./recorder.ts', import.meta.url), 'openRecorder'],
  [product('registry/covered.ts'), new URL('./covered.ts', import.meta.url), 'coveredInstances'],
  [product('status/feed/tail.ts'), new URL('./feed-tail.ts', import.meta.url), 'FeedTail'],
  [product('sdk/feed/reader.ts'), new URL('./feed-reader.ts', import.meta.url), 'FeedReader'],
];

function product(path: string): URL {
  return new URL(`../../../src/${path}`, import.meta.url);
}

/** By the URL of the product's module. Each front is a module that no file holds. */
const BY_PRODUCT = new Map(
  IMPOSTORS.map(([{ href }, { href: stand }, name]) => {
    // What a module exports by name comes before what it passes on with a star.
    const source = `export * from '${href}'; export { ${name} } from '${stand}';`;
    return [href, { front: `${href}?sabotaged`, stand, source }];
  }),
);
const FRONTS = new Map([...BY_PRODUCT.values()].map(({ front, source }) => [front, source]));

registerHooks({
  resolve(specifier, context, next) {
    const found = next(specifier, context);
    const stand = BY_PRODUCT.get(found.url);
    const honest = context.parentURL === stand?.front || context.parentURL === stand?.stand;
    return stand !== undefined && !honest ? { ...found, url: stand.front } : found;
  },
  load(url, context, next) {
    const source = FRONTS.get(url);
    return source === undefined ? next(url, context) : { format: 'module', source, shortCircuit: true };
  },
});
