/**
 * Loaded with `--import` into a server whose harness is to be caught: puts `recorder.ts` of this folder in the place of
 * the product's. The product knows nothing of it.
 */
import { registerHooks } from 'node:module';

const PRODUCT = new URL('../../../src/cmd/recorder.ts', import.meta.url).href;
const IMPOSTOR = new URL('./recorder.ts', import.meta.url).href;

registerHooks({
  resolve(specifier, context, next) {
    const found = next(specifier, context);
    return found.url === PRODUCT && context.parentURL !== IMPOSTOR ? { ...found, url: IMPOSTOR } : found;
  },
});
