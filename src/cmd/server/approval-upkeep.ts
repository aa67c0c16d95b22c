import { readFileSync } from 'node:fs';
import { recordEndedBreakGlass } from '../../approval/break-glass.ts';
import { deliverDue, forgetDeliveries } from '../../approval/deliver.ts';
import { expireApprovals } from '../../approval/end.ts';
import { sendWebhook, type Webhook, webhookKey } from '../../approval/webhook.ts';
import { WritError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import { readSecretFile } from '../../keys/secret-file.ts';
import type { Config } from '../config/config.ts';
import type { ThreadParts } from './thread-parts.ts';

const DELIVER_MS = 500;
const EXPIRE_MS = 10_000;
const FORGET_MS = 3_600_000;

/** Shortest key that is worth its name, in octets: what Standard Webhooks ask for. */
const SHORTEST_KEY = 24;

/** The webhooks of the configuration with their keys. Throws what `readSecretFile` throws, and `bad_config`. */
export async function readWebhooks(webhooks: Config['webhooks']): Promise<Webhook[]> {
  const read = webhooks.map(async ({ url, keyFile, caFile }, index): Promise<Webhook> => {
    const field = `webhooks.${index}.keyFile`;
    const key = webhookKey(await readSecretFile(keyFile, 4096, field));
    if (key.length < SHORTEST_KEY) {
      throw new WritError('bad_config', 'The key of a webhook is too short.', {
        field,
        remedy: `Put at least ${SHORTEST_KEY} random octets into the file, e.g. with: openssl rand -base64 32`,
      });
    }
    return { url, key, ...(caFile === undefined ? {} : { ca: readFileSync(caFile, 'utf8') }) };
  });
  return Promise.all(read);
}

/** Records what has expired, and sends what webhooks are to be told. Gives a function that ends it. */
export function startApprovalUpkeep(own: ThreadParts, webhooks: readonly Webhook[], log: Log): () => void {
  const { reader, commit, clock, random } = own;
  const urls = webhooks.map(({ url }) => url);
  const chores: { readonly what: string; readonly every: number; readonly act: () => Promise<unknown> }[] = [
    {
      what: 'expiring approvals',
      every: EXPIRE_MS,
      act: () => expireApprovals({ reader, commit, clock, random, webhooks: urls }),
    },
    {
      what: 'ending emergency access',
      every: EXPIRE_MS,
      act: () => recordEndedBreakGlass({ reader, commit, clock, random, webhooks: urls }),
    },
  ];
  if (webhooks.length > 0) {
    const parts = { reader, commit, clock, webhooks, send: sendWebhook };
    chores.push({ what: 'webhooks', every: DELIVER_MS, act: () => deliverDue(parts) });
    chores.push({ what: 'forgetting deliveries', every: FORGET_MS, act: () => forgetDeliveries(parts) });
  }
  const timers = chores.map(({ what, every, act }) => {
    let busy = false;
    return setInterval(() => {
      if (busy) return;
      busy = true;
      act()
        .catch((error: unknown) => log.error(`${what} failed`, { error: (error as Error).message }))
        .finally(() => {
          busy = false;
        });
    }, every);
  });
  return () => {
    for (const timer of timers) clearInterval(timer);
  };
}
