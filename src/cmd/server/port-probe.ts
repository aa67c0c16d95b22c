import { createServer } from 'node:net';
import { WritError } from '../../base/error.ts';
import { splitAddress } from '../config/address.ts';
import type { Config } from '../config/config.ts';

/** The flag that moves each listener. */
const FLAGS: Readonly<Record<keyof Config['listen'], string>> = {
  api: '--listen',
  public: '--listen-public',
  plain: '--listen-plain',
};

interface Fault {
  readonly flag: string;
  readonly address: string;
  /** False where the machine has no such address, or will not give it to this user. */
  readonly taken: boolean;
  readonly cause: unknown;
}

/**
 * Makes sure that all addresses are free, by taking each for an instant. The threads share their ports (`SO_REUSEPORT`),
 * and two servers of one user would share them just as silently, each getting some of the other's connections.
 *
 * Throws one `bad_config` that names every address that is taken or cannot be had, and its flag. `held`: a listener whose
 * address this process has already.
 */
export async function requireFree(listen: Config['listen'], held?: keyof Config['listen']): Promise<void> {
  const faults: Fault[] = [];
  for (const [listener, flag] of Object.entries(FLAGS)) {
    if (listener === held) continue;
    const fault = await faultOf(listen[listener as keyof Config['listen']], flag);
    if (fault !== undefined) faults.push(fault);
  }
  if (faults.length === 0) return;
  const taken = faults.filter((fault) => fault.taken);
  const strange = faults.filter((fault) => !fault.taken);
  const said = [
    ...(taken.length === 0
      ? []
      : [`the address${many(taken, 'es', '')} ${addresses(taken)} ${many(taken, 'are', 'is')} taken`]),
    ...(strange.length === 0 ? [] : [`Writ cannot listen on ${addresses(strange)}`]),
  ].join(', and ');
  const done = [
    ...(taken.length === 0
      ? []
      : [
          `Stop what has ${many(taken, 'them', 'it')} ("ss -ltnp" names it), or choose ${many(taken, 'others', 'another')} with ${flags(taken)}.`,
        ]),
    ...(strange.length === 0
      ? []
      : [`Choose ${many(strange, 'addresses', 'an address')} of this machine with ${flags(strange)}.`]),
  ].join(' ');
  throw new WritError('bad_config', said.charAt(0).toUpperCase() + said.slice(1), {
    field: faults[0]!.flag,
    remedy: done,
    cause: faults[0]!.cause,
  });
}

async function faultOf(address: string, flag: string): Promise<Fault | undefined> {
  const { host, port } = splitAddress(address);
  if (port === 0) return undefined;
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port, exclusive: true }, resolve);
    });
    return undefined;
  } catch (cause) {
    return { flag, address, taken: (cause as NodeJS.ErrnoException).code === 'EADDRINUSE', cause };
  } finally {
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
}

function many(faults: readonly Fault[], several: string, one: string): string {
  return faults.length > 1 ? several : one;
}

function addresses(faults: readonly Fault[]): string {
  return listed(faults.map(({ address }) => address));
}

function flags(faults: readonly Fault[]): string {
  return listed(faults.map(({ flag }) => flag));
}

/** `a`, `a and b`, `a, b and c`. */
function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}
