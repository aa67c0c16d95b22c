/**
 * Loaded with `--import` into a server or a point whose harness is to be caught: gives whoever imports one of these modules
 * of the product all that it exports, but one thing from the module of this folder by the same name. The product knows
 * nothing of it.
 */
import { registerHooks } from 'node:module';

/** Modules below `src/`, what stands in for something of them, and what that is. */
const IMPOSTORS: readonly (readonly [product: string, impostor: string, name: string])[] = [
  ['cmd/recorder.ts', 'recorder.ts', 'openRecorder'],
  ['registry/covered.ts', 'covered.ts', 'coveredInstances'],
  ['status/feed-tail.ts', 'feed-tail.ts', 'FeedTail'],
  ['sdk/feed-reader.ts', 'feed-reader.ts', 'FeedReader'],
];

/** By the URL of the product's module. */
const BY_PRODUCT = new Map(
  IMPOSTORS.map(([product, impostor, name]) => {
    const url = new URL(`../../../src/${product}`, import.meta.url).href;
    const stand = new URL(impostor, import.meta.url).href;
    /** A module that no file holds. What a module exports by name comes before what it passes on with a star. */
    return [
      url,
      { front: `${url}?sabotaged`, stand, source: `export * from '${url}'; export { ${name} } from '${stand}';` },
    ];
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
