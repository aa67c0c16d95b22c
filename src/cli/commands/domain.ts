import { writeFileSync } from 'node:fs';
import { actCommand } from '../act.ts';
import { type Item, itemsOf, textOf, type WithApi } from '../api.ts';
import { type Command, EXIT, type Input } from '../command.ts';
import { confirmed, YES_FLAG } from '../confirm.ts';
import { needed } from '../input.ts';
import { listCommand } from '../listing.ts';
import { showCommand } from '../showing.ts';
import { list, relative } from '../table.ts';
import { formatDuration, parseDuration, readInput } from '../values.ts';
import { CAUSES } from './causes.ts';

const DOMAIN = { name: 'domain', summary: 'the further trust domain, e.g. partners.example', required: true } as const;

/** `writ domain …`, as far as one person may: further trust domains whose roots lie here. */
export function domainCommands(withApi: WithApi, now: () => number): readonly Command[] {
  return [
    listCommand(withApi, {
      path: 'domain list',
      summary: 'List further trust domains whose roots lie here',
      request: () => ({ path: '/v1/domains' }),
      whole: true,
      columns: [
        ['TRUST DOMAIN', (item) => textOf(item, 'trust_domain')],
        ['STATE', (item) => textOf(item, 'state')],
        ['SUBORDINATES', (item) => `${subordinatesOf(item).length}`],
        ['MADE BY', (item) => textOf(item, 'created_by')],
      ],
      empty: 'None. Make one with "writ domain create".',
    }),
    showCommand(withApi, {
      path: 'domain show',
      summary: 'Show a further trust domain, its profile and its authorities',
      ...{ parameter: DOMAIN, at: pathOf },
      text: (found) => describeDomain(found, now()),
    }),
    {
      path: 'domain sign',
      summary: 'Sign a subordinate authority of a further trust domain',
      details:
        'For the key in the request, with path length 0, within the profile that was agreed to with the trust domain.',
      parameters: [DOMAIN],
      flags: [
        { name: 'csr', value: 'file', summary: 'request in PEM; - for standard input', required: true },
        { name: 'lifetime', value: 'duration', summary: 'how long it lives; default: as long as the profile allows' },
        { name: 'out', value: 'file', summary: 'where certificate and chain go; else to standard output' },
      ],
      changes: true,
      async run(input, terminal) {
        const lifetime = input.flag('lifetime');
        const body = {
          csr: readInput(input.flag('csr')!, '--csr'),
          ...(lifetime === undefined ? {} : { lifetime_seconds: parseDuration(lifetime, 'lifetime') }),
        };
        if (input.dryRun) {
          const found = await withApi(input, (api) => api.get(pathOf(input)));
          terminal.result({ would: 'sign', domain: found }, `Would sign an authority of ${needed(input, 'domain')}.`);
          return EXIT.ok;
        }
        const signed = await withApi(input, (api) => api.post(`${pathOf(input)}/authorities`, body));
        const chain = [
          textOf(signed, 'certificate'),
          ...((signed['chain'] as readonly string[] | undefined) ?? []),
        ].join('');
        const out = input.flag('out');
        if (out !== undefined) writeFileSync(out, chain);
        terminal.result(
          signed,
          out === undefined ? chain.trimEnd() : `Signed until ${textOf(signed, 'not_after')}: ${out}`,
        );
        return EXIT.ok;
      },
    },
    {
      path: 'domain revoke',
      summary: 'Revoke an authority of a further trust domain, for ever',
      details:
        'It is on the list of the authority above at once, and in the feed. Where it is the one that signs subordinate authorities, another one follows it. A root is on no list: see "writ domain rotate --root --at-once".',
      parameters: [DOMAIN, { name: 'authority', summary: 'its id, as "writ domain show" has it', required: true }],
      flags: [{ name: 'cause', value: 'cause', summary: 'why', choices: CAUSES, required: true }, YES_FLAG],
      changes: true,
      run: (input, terminal) =>
        withApi(input, async (api) => {
          const authority = needed(input, 'authority');
          if (input.dryRun) {
            terminal.result({ would: 'revoke', domain: await api.get(pathOf(input)) }, `Would revoke ${authority}.`);
            return EXIT.ok;
          }
          const what = 'What it signed is believed no more wherever lists or the feed are followed.';
          if (!(await confirmed(input, terminal, { what, name: authority }))) return EXIT.failed;
          const path = `${pathOf(input)}/authorities/${encodeURIComponent(authority)}/revoke`;
          terminal.result(await api.post(path, { cause: input.flag('cause')! }), `${authority} is revoked.`);
          return EXIT.ok;
        }),
    },
    actCommand(withApi, {
      path: 'domain close',
      summary: 'Delete the keys of a further trust domain: nothing is signed in it any more',
      parameter: DOMAIN,
      route: (name) => `/v1/domains/${name}/close`,
      would: (name) => `Would delete the keys of ${name}.`,
      question: (name) => `Nothing of ${name} can be signed or renewed after that.`,
      done: (name) => `${name} is closed; what was signed lives on until it expires.`,
    }),
  ];
}

function pathOf(input: Input): string {
  return `/v1/domains/${encodeURIComponent(needed(input, 'domain'))}`;
}

function subordinatesOf(item: Item): readonly Item[] {
  return itemsOf(item, 'authorities').filter(({ kind, state }) => kind === 'subordinate' && state === 'active');
}

export function describeDomain(item: Item, now: number): string {
  const profile = item['profile'] as {
    readonly most_seconds: number;
    readonly keys: readonly string[];
    readonly most: number;
  };
  return list([
    ['trust domain', textOf(item, 'trust_domain')],
    ['state', textOf(item, 'state')],
    ['subordinates live', `${formatDuration(profile.most_seconds)} at most`],
    ['their keys', profile.keys.join(', ')],
    ['at a time', `${profile.most}`],
    ['made', `${textOf(item, 'created_at')} by ${textOf(item, 'created_by')}`],
    ...itemsOf(item, 'authorities').map(
      (one) => [textOf(one, 'kind'), `${textOf(one, 'id')}, ${standingOf(one, now)}`] as const,
    ),
  ]);
}

function standingOf(item: Item, now: number): string {
  const at = (time: string): string => relative(Date.parse(time), now);
  const revoked = item['revoked'] as { readonly at: string; readonly cause: string } | undefined;
  if (revoked !== undefined) return `revoked ${at(revoked.at)}: ${revoked.cause}`;
  const expires = `expires ${at(textOf(item, 'not_after'))}`;
  const state = textOf(item, 'state');
  if (state === 'next') return `published, takes over ${at(textOf(item, 'signs_from'))}, ${expires}`;
  return state === 'retired' ? `signs lists alone, ${expires}` : expires;
}
