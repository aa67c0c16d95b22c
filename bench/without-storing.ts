/**
 * Loaded before a server that is to do everything but store: whatever a thread commits is answered at once, before it
 * is even encoded. Nothing else about the server differs.
 */
import { registerHooks } from 'node:module';

registerHooks({
  resolve(specifier, context, next) {
    if (!specifier.endsWith('/ledger/port.ts')) return next(specifier, context);
    return { url: new URL('./no-commits.ts', import.meta.url).href, shortCircuit: true };
  },
});
