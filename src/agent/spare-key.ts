import type { KeyObject } from 'node:crypto';
import { csrFor, newKey } from '../sdk/identity/credential.ts';

export interface KeyWithRequest {
  readonly key: KeyObject;
  /** The request for a certificate for it, in PEM. */
  readonly csr: string;
}

/**
 * Keys for certificates below a root (PEM), none given twice. One is always made in advance, while the server works on the
 * request before it, so that a process which calls does not wait for its own. They are in memory alone, as those in use are.
 */
export function spareKeys(make: typeof makeKey = makeKey): (root: string) => Promise<KeyWithRequest> {
  let spare: { readonly root: string; readonly made: Promise<KeyWithRequest> } | undefined;
  const prepare = (root: string): void => {
    if (spare?.root === root) return;
    spare = { root, made: make(root) };
    // Whoever takes it hears of it.
    spare.made.catch(() => undefined);
  };
  return (root) => {
    const found = spare?.root === root ? spare.made : make(root);
    spare = undefined;
    setImmediate(prepare, root);
    return found;
  };
}

/** For a key of the kind that goes with the root (`newKey`). */
async function makeKey(root: string): Promise<KeyWithRequest> {
  const key = newKey(root);
  return { key, csr: await csrFor(key) };
}
