/**
 * The program's own log: what an operator reads when something is wrong. It is not the ledger.
 *
 * `event` is a fixed lower-case phrase, never built from input. Fields are plain values. No key, token, passphrase,
 * request body or header value is ever logged; a field that could hold one does not exist.
 */
export interface Log {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
}

export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** For tests and library use: says nothing. */
export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };
