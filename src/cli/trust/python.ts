import { hasBlock, putBlock, takeBlock } from './pem-file.ts';
import type { Machine, Place } from './place.ts';

/** The roots of Python's certifi, which `requests` and `httpx` take in place of the system's. */
export async function pythonPlaces({ certifi }: Machine): Promise<Place[]> {
  return (await certifi()).map(
    (file): Place => ({
      store: 'python',
      where: file,
      hint: 'an upgrade of the package certifi takes it out; then run this command again',
      has: async (root) => hasBlock(file, root),
      put: async (root) => putBlock(file, root),
      take: async (root) => void takeBlock(file, root),
    }),
  );
}
