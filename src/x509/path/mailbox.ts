import { isHostName } from './host-name.ts';

const LOCAL = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/;

export interface Mailbox {
  /** As written: only the mailbox's own host may say whether its case matters (RFC 5280 §7.5). */
  readonly local: string;
  /** Lower case. */
  readonly host: string;
}

/**
 * Splits `local@host` (RFC 5280 §4.2.1.6: the Mailbox of RFC 2821, ASCII only). Quoted local parts and address
 * literals are refused, so that exactly one `@` can be there. Undefined for anything else.
 */
export function splitMailbox(text: string): Mailbox | undefined {
  const at = text.indexOf('@');
  const local = text.slice(0, at);
  const host = text.slice(at + 1).toLowerCase();
  return at > 0 && local.length <= 64 && LOCAL.test(local) && isHostName(host) ? { local, host } : undefined;
}
