import type { PathReason } from '../../src/x509/path/result.ts';

/** Most of these that may ever be listed. */
export const MOST_STRICTER = 10;

/**
 * Cases that the suite expects to succeed and that Writ refuses on purpose, each with the reason that the refusal must
 * have. A case that is listed and yet succeeds is a failure: the list may not outlive its grounds.
 */
export const STRICTER: Readonly<Record<string, { readonly reason: PathReason; readonly why: string }>> = {
  'online::docs.python.org': {
    reason: 'wrong_name',
    why: 'the name is there as *.python.org alone, and without the Public Suffix List no wildcard stands for a name',
  },
  'webpki::san::leftmost-wildcard-san': {
    reason: 'bad_certificate',
    why: 'the common name example.com is not among the alternative names (*.example.com), as BR §7.1.4.3 demands',
  },
  'webpki::nc::nc-permits-dns-san-pattern': {
    reason: 'bad_certificate',
    why: 'the common name example.com is not among the alternative names (*.example.com), as BR §7.1.4.3 demands',
  },
  'webpki::san::exact-localhost-ip-san': {
    reason: 'bad_certificate',
    why: 'the common name example.com is not among the alternative names (127.0.0.1), as BR §7.1.4.3 demands',
  },
};
