import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { WritError } from '../../base/error.ts';
import { type Item, itemOf, textOf, type WithApi } from '../api.ts';
import { type Command, EXIT } from '../command.ts';
import { PAGING, readListing } from '../listing.ts';
import { table } from '../table.ts';
import { certificatePath } from './cert.ts';

/** `writ trace`: the story of one identity, told by the ledger. */
export function traceCommand(withApi: WithApi): Command {
  return {
    path: 'trace',
    summary: 'Tell everything the ledger says about one identity, in order',
    parameters: [{ name: 'serial', summary: 'serial number of any of its certificates', required: true }],
    flags: [
      { name: 'receipts', summary: 'with a receipt for each entry, which verifies offline' },
      { name: 'out', value: 'directory', summary: 'write receipts and public keys to this new directory' },
      ...PAGING,
    ],
    examples: [
      { line: 'writ trace 01a2…', does: 'who registered it, let it in, renewed it, revoked it' },
      {
        line: 'writ trace 01a2… --out evidence',
        does: 'evidence for an outsider, who runs: writ ledger check-receipt evidence/*.tlog-proof --keys evidence/keys',
      },
    ],
    run: (input, terminal) =>
      withApi(input, async (api) => {
        const out = input.flag('out');
        const receipts = input.has('receipts') || out !== undefined;
        const request = {
          path: `${certificatePath(input)}/trace`,
          query: { receipts: receipts ? 'true' : undefined },
        };
        const { items, next } = await readListing(api, input, request);
        if (out !== undefined) writeReceipts(resolve(out), items, await api.text('/ledger/keys'));
        const text = input.has('receipts') ? withReceipts(items) : plain(items, terminal.colour);
        terminal.result({ items, ...(next === undefined ? {} : { next_cursor: next }) }, text);
        if (next !== undefined) terminal.say(`More: add --cursor ${next}`);
        if (out !== undefined) {
          terminal.say(`Next: writ ledger check-receipt ${join(out, '*.tlog-proof')} --keys ${join(out, 'keys')}`);
        }
        return EXIT.ok;
      }),
  };
}

function plain(items: readonly Item[], colour: boolean): string {
  const rows = items.map((item) => [
    textOf(item, 'index'),
    textOf(item, 'time'),
    textOf(item, 'type'),
    summaryOf(item),
  ]);
  return table(['ENTRY', 'TIME', 'EVENT', 'DETAIL'], rows, { empty: 'The ledger says nothing about it.', colour });
}

function withReceipts(items: readonly Item[]): string {
  return items.map((item) => `${plain([item], false).split('\n')[1]}\n\n${textOf(item, 'receipt')}`).join('\n');
}

/** What is shown before the rest, which may not have room: who was refused, and why. */
const FIRST = ['fault', 'uid', 'program'];

/** The members of an entry's body that a line has room for: no lists, no digests, ids of this trust domain without it. */
export function summaryOf(item: Item): string {
  const body = itemOf(item, 'body');
  const first = Object.fromEntries(FIRST.flatMap((key) => (key in body ? [[key, body[key]]] : [])));
  const text = Object.entries({ ...because(item), ...first, ...body })
    .filter(
      ([key, value]) => typeof value !== 'object' && key !== 'certificate' && !/^[0-9a-f]{64}$/.test(String(value)),
    )
    .map(([key, value]) => `${key}=${key === 'endpoint_id' ? value : String(value).replace(/^spiffe:\/\/[^/]+\//, '')}`)
    .join(' ');
  return text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text;
}

/** Why it fell, where that was with something else: who stopped that, by which rule and why. */
function because(item: Item): Item {
  if (item['stopped'] === undefined) return {};
  const stopped = itemOf(item, 'stopped');
  const target = itemOf(itemOf(stopped, 'stop'), 'target');
  const rules = stopped['authority'];
  return {
    fell_with: `${textOf(target, 'kind')}:${textOf(target, 'name')}`,
    stopped_by: textOf(stopped, 'stopped_by'),
    allowed_by: Array.isArray(rules) ? rules.join(',') : '',
    because: textOf(stopped, 'cause'),
  };
}

const LONGEST = 120;

function writeReceipts(directory: string, items: readonly Item[], keys: string): void {
  try {
    mkdirSync(directory);
  } catch (cause) {
    throw new WritError('conflict', 'The directory cannot be made', {
      field: '--out',
      remedy: `Name one that does not exist yet, in one that does: ${directory}`,
      cause,
    });
  }
  writeFileSync(join(directory, 'keys'), keys);
  for (const item of items) {
    writeFileSync(join(directory, `${textOf(item, 'index')}.tlog-proof`), textOf(item, 'receipt'));
  }
}
