import { fail, text } from './fields.ts';

/** Splits `host:port`; an IPv6 host stands in brackets. */
export function splitAddress(value: string): { host: string; port: number } {
  const colon = value.lastIndexOf(':');
  const host = value.slice(0, colon);
  return { host: host.startsWith('[') ? host.slice(1, -1) : host, port: Number(value.slice(colon + 1)) };
}

/** The reverse: an IPv6 address stands in brackets. */
export function hostAndPort(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** Checks `host:port`. Throws `bad_config` naming the field. */
export function parseAddress(value: unknown, field: string): string {
  const checked = text(value, field);
  if (!/^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):\d{1,5}$/.test(checked) || splitAddress(checked).port > 65_535) {
    fail(field, 'is not host:port', 'Write it like 127.0.0.1:8443 or [::1]:8443.');
  }
  return checked;
}
