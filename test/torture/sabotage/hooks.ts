/**
 * Loaded with `--import` into a server whose harness is to be caught: gives whoever imports the product's `recorder.ts`
 * all that it exports, but `openRecorder` from `recorder.ts` of this folder. The product knows nothing of it.
 */
import { registerHooks } from 'node:module';

const PRODUCT = new URL('../../../src/cmd/recorder.ts', import.meta.url).href;
const IMPOSTOR = new URL('./recorder.ts', import.meta.url).href;
/** A module that no file holds. What a module exports by name comes before what it passes on with a star. */
const FRONT = `${PRODUCT}?sabotaged`;
const FRONT_SOURCE = `export * from '${PRODUCT}'; export { openRecorder } from '${IMPOSTOR}';`;

registerHooks({
  resolve(specifier, context, next) {
    const found = next(specifier, context);
    const honest = context.parentURL === FRONT || context.parentURL === IMPOSTOR;
    return found.url === PRODUCT && !honest ? { ...found, url: FRONT } : found;
  },
  load: (url, context, next) =>
    url === FRONT ? { format: 'module', source: FRONT_SOURCE, shortCircuit: true } : next(url, context),
});
