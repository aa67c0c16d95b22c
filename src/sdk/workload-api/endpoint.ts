import { connect, isIP, type Socket } from 'node:net';
import { WritError } from '../../base/error.ts';

/** Where a Workload API is, as `SPIFFE_ENDPOINT_SOCKET` says it (SPIFFE Workload Endpoint §4). */
export type WorkloadEndpoint = { readonly path: string } | { readonly host: string; readonly port: number };

/**
 * Parses `unix:///absolute/path` (also the path alone) or `tcp://IP:PORT`. Throws `bad_config` for anything else, `field`
 * names where it stood.
 */
export function parseWorkloadEndpoint(text: string, field: string): WorkloadEndpoint {
  if (text.startsWith('/')) return { path: text };
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const plain = url !== undefined && url.search + url.hash + url.username + url.password === '';
  if (plain && url.protocol === 'unix:' && url.host === '' && url.pathname.length > 1 && text.startsWith('unix:/')) {
    return { path: decodeURIComponent(url.pathname) };
  }
  if (plain && url.protocol === 'tcp:' && url.pathname === '' && url.port !== '') {
    const host = url.hostname.replace(/^\[|\]$/g, '');
    if (isIP(host) !== 0) return { host, port: Number(url.port) };
  }
  throw new WritError('bad_config', 'The address of the Workload API cannot be used.', {
    field,
    remedy: 'Give it like unix:///run/writ-agent/api.sock, or tcp://127.0.0.1:8081.',
  });
}

/** A connection, which does not keep the process alive. */
export function openWorkloadSocket(endpoint: WorkloadEndpoint): Socket {
  return connect(endpoint).unref();
}
