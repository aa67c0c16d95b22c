import { setTimeout as pause } from 'node:timers/promises';
import { type Api, type Item, textOf, type WithApi } from '../api.ts';
import { type Command, EXIT, type Input } from '../command.ts';
import { confirmed, YES_FLAG } from '../confirm.ts';
import { needed } from '../input.ts';
import { listCommand } from '../listing.ts';
import { showCommand } from '../showing.ts';
import { list, relative } from '../table.ts';

const DOMAIN = { name: 'domain', summary: 'the other trust domain, e.g. partner.example', required: true } as const;

/** How long a command waits for a fetch that it has asked for. */
const WAIT_MS = 15_000;
const LOOK_MS = 250;

/** `writ federation …`, as far as one person may: other trust domains whose SVIDs are believed. */
export function federationCommands(withApi: WithApi, now: () => number): readonly Command[] {
  return [
    listCommand(withApi, {
      path: 'federation list',
      summary: 'List other trust domains whose SVIDs are believed',
      request: () => ({ path: '/v1/federations' }),
      whole: true,
      columns: [
        ['TRUST DOMAIN', (item) => textOf(item, 'trust_domain')],
        ['STATUS', (item) => statusOf(item)],
        ['KEYS', (item) => `${lengthOf(item, 'roots')} X.509, ${lengthOf(item, 'jwt_keys')} JWT`],
        ['SEQUENCE', (item) => textOf(item, 'sequence')],
        ['FETCHED', (item) => ago(item, 'good_at', now())],
        ['URL', (item) => textOf(item, 'url')],
      ],
      next: (items) =>
        items.some((item) => textOf(item, 'fault') !== '') ? 'What to try: writ federation show DOMAIN' : undefined,
      empty: 'No federation. Believe another trust domain with "writ federation add".',
    }),
    showCommand(withApi, {
      path: 'federation show',
      summary: 'Show what is known of another trust domain, and where from',
      ...{ parameter: DOMAIN, at: pathOf, text: describeFederation },
    }),
    {
      path: 'federation refresh',
      summary: 'Fetch the bundle of another trust domain at once',
      parameters: [DOMAIN],
      changes: true,
      run: (input, terminal) =>
        withApi(input, async (api) => {
          if (input.dryRun) {
            const found = await api.get(pathOf(input));
            terminal.result({ would: 'refresh', federation: found }, `Would fetch ${textOf(found, 'url')}.`);
            return EXIT.ok;
          }
          const asked = await api.post(`${pathOf(input)}/refresh`, {});
          const found = await fetched(api, pathOf(input), asked);
          terminal.result(found, describeFederation(found));
          return textOf(found, 'status') === 'good' ? EXIT.ok : EXIT.findings;
        }),
    },
    {
      path: 'federation remove',
      summary: 'Believe nothing of another trust domain any more',
      parameters: [DOMAIN],
      flags: [YES_FLAG],
      changes: true,
      run: (input, terminal) =>
        withApi(input, async (api) => {
          const name = needed(input, 'domain');
          if (input.dryRun) {
            const found = await api.get(pathOf(input));
            terminal.result({ would: 'remove', federation: found }, `Would believe nothing of ${name} any more.`);
            return EXIT.ok;
          }
          const what = `Peers of ${name} are refused wherever this is heard.`;
          if (!(await confirmed(input, terminal, { what, name }))) return EXIT.failed;
          const removed = await api.remove(pathOf(input));
          terminal.result(removed, `Nothing of ${name} is believed any more.`);
          return EXIT.ok;
        }),
    },
  ];
}

function pathOf(input: Input): string {
  return `/v1/federations/${encodeURIComponent(needed(input, 'domain'))}`;
}

/** Waits until the fetch that was asked for has ended, or for a while. */
async function fetched(api: Api, path: string, asked: Item): Promise<Item> {
  const until = performance.now() + WAIT_MS;
  let found = asked;
  while (textOf(found, 'tried_at') === textOf(asked, 'tried_at') && performance.now() < until) {
    await pause(LOOK_MS);
    found = await api.get(path);
  }
  return found;
}

function statusOf(item: Item): string {
  const fault = textOf(item, 'fault');
  return fault === '' ? textOf(item, 'status') : `${textOf(item, 'status')} (${fault})`;
}

/** What somebody who runs this installation can do about a bundle that is not taken; empty where nothing is wrong. */
function adviceFor(item: Item): string {
  const [name, fault] = [textOf(item, 'trust_domain'), textOf(item, 'fault')];
  const anew = `"writ federation replace ${name}" with the bundle as whoever runs it gives it`;
  const identity =
    textOf(item, 'profile') === 'https_web'
      ? 'ask by which authority its server is certified, for the host name in the URL; one of your own belongs into federation.caFile of config.json'
      : `ask whether its server is ${textOf(item, 'endpoint_id')}; where its authorities were replaced, ${anew}`;
  const advice: Readonly<Record<string, string>> = {
    url: `an address in a network of your own has to be in federation.allowNetworks of config.json: put it there, start the server again, and "writ federation refresh ${name}"; else remove it, and add it with another URL`,
    unreachable: 'see that this machine reaches the URL, and that its server runs',
    timeout: 'see that this machine reaches the URL, and that its server runs',
    status: 'ask whether the URL is that of the bundle itself',
    too_large: 'ask whether the URL is that of the bundle itself',
    identity,
    malformed: 'ask whether the URL is that of the bundle itself',
    own_domain: 'believe nothing of it: ask whoever runs it why their bundle speaks for you',
    sequence_back: `ask whether it had to begin again; then ${anew}`,
    sequence_missing: `ask whether it had to begin again; then ${anew}`,
  };
  return advice[fault] ?? '';
}

function lengthOf(item: Item, key: string): number {
  return ((item[key] as readonly unknown[] | undefined) ?? []).length;
}

function ago(item: Item, key: string, now: number): string {
  const at = textOf(item, key);
  return at === '' ? '' : relative(Date.parse(at), now);
}

export function describeFederation(item: Item): string {
  const texts = (key: string): string => ((item[key] as readonly string[] | undefined) ?? []).join(', ');
  return list([
    ['trust domain', textOf(item, 'trust_domain')],
    ['status', statusOf(item)],
    ['try', adviceFor(item)],
    ['url', textOf(item, 'url')],
    ['profile', textOf(item, 'profile')],
    ['endpoint', textOf(item, 'endpoint_id')],
    ['sequence', textOf(item, 'sequence')],
    ['refresh hint', textOf(item, 'refresh_hint')],
    ['X.509 authorities', texts('roots')],
    ['JWT keys', texts('jwt_keys')],
    ['bundle came', [textOf(item, 'source'), textOf(item, 'bundle_at')].filter((part) => part !== '').join(', ')],
    ['last fetched', textOf(item, 'good_at')],
    ['last tried', textOf(item, 'tried_at')],
    ['next', textOf(item, 'next_poll_at')],
    ['added', `${textOf(item, 'created_at')} by ${textOf(item, 'created_by')}`],
  ]);
}
