import { fail, keysOf, text } from './fields.ts';

/** A receiver of notices. */
export interface WebhookConfig {
  /** `https:`, or `http:` on loopback. */
  readonly url: string;
  /** File with the secret that signs, owner-only. */
  readonly keyFile: string;
  /** File with the authority that signed the receiver's certificate. Absent: those that Node knows. */
  readonly caFile?: string;
}

/** At most eight; none where none are given. Throws `bad_config`. */
export function parseWebhooks(value: unknown): readonly WebhookConfig[] {
  if (value === undefined) return [];
  if (!Array.isArray(value) || value.length > 8) fail('webhooks', 'is not a list of at most eight', 'Give a list.');
  return value.map((one, index) => {
    const field = `webhooks.${index}`;
    const given = keysOf(one, field, ['url', 'keyFile', 'caFile']);
    const url = URL.parse(text(given['url'], `${field}.url`));
    const loopback = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url?.hostname ?? '');
    const safe = url?.protocol === 'https:' || (url?.protocol === 'http:' && loopback);
    if (url === null || !safe || url.username + url.password + url.hash !== '') {
      fail(
        `${field}.url`,
        'is no URL to tell things to',
        'Write it like https://hooks.example.com/writ, without a password.',
      );
    }
    return {
      url: url.href,
      keyFile: text(given['keyFile'], `${field}.keyFile`),
      ...(given['caFile'] === undefined ? {} : { caFile: text(given['caFile'], `${field}.caFile`) }),
    };
  });
}
