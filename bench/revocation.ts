import { existsSync } from 'node:fs';
import { measureFeed } from './revocation-feed.ts';

export interface RevocationOptions {
  readonly quick: boolean;
  readonly progress: (text: string) => void;
}

/** A part of the figures about revocation, in a file of its own: every `measure…` that it exports. */
type Part = Readonly<
  Record<string, (directory: string, options: RevocationOptions) => Promise<Record<string, number>>>
>;

const PARTS = ['revocation-crl.ts', 'revocation-ocsp.ts', 'revocation-cascade.ts'];

/** All figures about revocation. A part that fails says so, and the others are measured all the same. */
export async function measureRevocation(
  directory: string,
  options: RevocationOptions,
): Promise<Record<string, number>> {
  const { quick, progress } = options;
  const feed = { rounds: quick ? 10 : 40, crowd: quick ? 1000 : 10_000, progress };
  const figures = await measureFeed(directory, feed);
  for (const name of PARTS) {
    const file = new URL(name, import.meta.url);
    if (!existsSync(file)) continue;
    progress(`revocation: ${name}`);
    const part = (await import(file.href)) as Part;
    for (const [key, measure] of Object.entries(part)) {
      if (!key.startsWith('measure')) continue;
      try {
        Object.assign(figures, await measure(directory, options));
      } catch (error) {
        // Its figures are missing; who only reads the exit code is to know, too.
        process.exitCode = 1;
        progress(`${name}: ${(error as Error).stack}`);
      }
    }
  }
  return figures;
}
