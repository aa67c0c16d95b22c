import { WritError } from '../base/error.ts';
import type { Flag, Input } from '../cli/command.ts';
import { parseCount } from '../cli/values.ts';
import { parseAddress } from './config/address.ts';
import type { Config } from './config/config.ts';

/** Where a server listens. Given when an installation is made, they are kept in its configuration. */
export const LISTEN_FLAGS: readonly Flag[] = [
  { name: 'listen', value: 'host:port', summary: 'address of the API (default 127.0.0.1:8443)' },
  { name: 'listen-public', value: 'host:port', summary: 'address of the public TLS listener (default 127.0.0.1:8444)' },
  { name: 'listen-plain', value: 'host:port', summary: 'address of the plain HTTP listener (default 127.0.0.1:8480)' },
  { name: 'threads', value: 'number', summary: 'threads that answer requests (default: processors less one)' },
];

const MOST_THREADS = 64;

/** The configuration with what the flags say in place of what it says. Throws `bad_request` naming the flag. */
export function withListenFlags<T extends Pick<Config, 'listen' | 'requestThreads'>>(config: T, input: Input): T {
  const address = (flag: string, otherwise: string): string => {
    const given = input.flag(flag);
    return given === undefined ? otherwise : parseAddress(given, `--${flag}`);
  };
  const { api, public: open, plain } = config.listen;
  const listen = {
    api: address('listen', api),
    public: address('listen-public', open),
    plain: address('listen-plain', plain),
  };
  requireDistinct(listen);
  const threads = input.flag('threads');
  const requestThreads = threads === undefined ? config.requestThreads : parseCount(threads, 'threads', MOST_THREADS);
  return { ...config, listen, requestThreads };
}

function requireDistinct(listen: Config['listen']): void {
  const taken = Object.values(listen).filter((address) => !address.endsWith(':0'));
  if (new Set(taken).size === taken.length) return;
  throw new WritError('bad_request', 'Two listeners have the same address', {
    field: '--listen',
    remedy: 'Give --listen, --listen-public and --listen-plain a port each.',
  });
}
