import { createServer } from 'node:net';
import { WritError } from '../../base/error.ts';
import { splitAddress } from '../config.ts';

/**
 * Makes sure that an address is free, by taking it for an instant. The threads share their ports (`SO_REUSEPORT`), and
 * two servers of one user would share them just as silently, each getting some of the other's connections.
 *
 * Throws `bad_config` naming the flag when the address is taken or cannot be had.
 */
export async function requireFree(address: string, flag: string): Promise<void> {
  const { host, port } = splitAddress(address);
  if (port === 0) return;
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port, exclusive: true }, resolve);
    });
  } catch (cause) {
    const taken = (cause as NodeJS.ErrnoException).code === 'EADDRINUSE';
    throw new WritError('bad_config', taken ? `The address ${address} is taken` : `Writ cannot listen on ${address}`, {
      field: flag,
      remedy: taken
        ? `Stop the program that has it ("ss -ltnp" names it), or choose another with ${flag}.`
        : `Choose an address of this machine with ${flag}.`,
      cause,
    });
  } finally {
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
}
