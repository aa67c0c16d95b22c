import { type Item, type OpenApi, textOf } from '../api.ts';
import { type Command, EXIT, type Flag } from '../command.ts';
import { parseDuration, parseTime, readInput } from '../input.ts';
import { listCommand } from '../listing.ts';
import { needed } from '../program.ts';
import { list, relative } from '../table.ts';
import { CAUSES } from './causes.ts';

const WHOSE: readonly Flag[] = [
  { name: 'agent', value: 'name', summary: 'of this agent only' },
  { name: 'service', value: 'name', summary: 'of this service only' },
  { name: 'instance', value: 'id', summary: 'of this instance only' },
];

const COLUMNS = (now: () => number) =>
  [
    ['SERIAL', (item: Item) => textOf(item, 'serial')],
    ['NAME', (item: Item) => textOf(item, 'name')],
    ['INSTANCE', (item: Item) => textOf(item, 'instance')],
    ['PROFILE', (item: Item) => textOf(item, 'profile')],
    ['STATUS', (item: Item) => textOf(item, 'status')],
    ['EXPIRES', (item: Item) => relative(Date.parse(textOf(item, 'not_after')), now())],
  ] as const;

/** `writ cert …`: certificates, and who was who at an instant. */
export function certCommands(open: OpenApi, now: () => number): readonly Command[] {
  const at = (serial: string): string =>
    `/v1/certificates/${encodeURIComponent(serial.toLowerCase().replaceAll(':', ''))}`;
  const serial = { name: 'serial', summary: 'serial number in hex', required: true };
  return [
    {
      path: 'cert issue',
      summary: 'Issue a certificate to an instance for its CSR',
      details:
        'For instances that cannot ask by themselves. Usually an instance enrols with a join token and renews by itself.',
      parameters: [{ name: 'instance', summary: 'id of the instance', required: true }],
      flags: [
        { name: 'csr', value: 'file', summary: 'CSR in PEM; - for standard input', required: true },
        { name: 'lifetime', value: 'duration', summary: 'shorter than the profile says' },
        { name: 'dns', value: 'name', summary: 'DNS name, where the profile allows it', many: true },
      ],
      changes: true,
      async run(input, terminal) {
        const body = {
          instance: needed(input, 'instance'),
          csr: readInput(input.flag('csr')!, '--csr'),
          ...(input.flag('lifetime') === undefined
            ? {}
            : { lifetime_seconds: parseDuration(input.flag('lifetime')!, 'lifetime') }),
          ...(input.flags('dns').length === 0 ? {} : { dns_names: input.flags('dns') }),
        };
        if (input.dryRun) {
          terminal.result(
            { would: 'issue', instance: body.instance },
            `Would issue a certificate to ${body.instance}.`,
          );
          return EXIT.ok;
        }
        const certificate = await (await open(input)).post('/v1/certificates', body);
        terminal.result(certificate, pemOf(certificate));
        return EXIT.ok;
      },
    },
    listCommand(open, {
      path: 'cert list',
      summary: 'List certificates, newest first',
      flags: [
        ...WHOSE,
        { name: 'profile', value: 'name', summary: 'of this profile only' },
        { name: 'status', value: 'status', summary: 'in this status only', choices: ['active', 'expired', 'revoked'] },
      ],
      request: (input) => ({
        path: '/v1/certificates',
        query: {
          agent: input.flag('agent'),
          service: input.flag('service'),
          instance: input.flag('instance'),
          profile: input.flag('profile'),
          status: input.flag('status'),
        },
      }),
      columns: COLUMNS(now),
      empty: 'No certificates.',
    }),
    listCommand(open, {
      path: 'cert at',
      summary: 'Say which identities were valid at an instant',
      details: 'Valid at T: issued by then, not yet expired, and not revoked by then, whatever happened afterwards.',
      flags: [{ name: 'time', value: 'time', summary: 'instant: RFC 3339, "now", or -15m', default: 'now' }, ...WHOSE],
      examples: [
        {
          line: 'writ cert at --time 2026-11-22T14:03:22Z --agent planner',
          does: 'which instances of planner could act then',
        },
      ],
      request: (input) => ({
        path: '/v1/certificates/at',
        query: {
          time: parseTime(input.flag('time')!, 'time', now()),
          agent: input.flag('agent'),
          service: input.flag('service'),
          instance: input.flag('instance'),
        },
      }),
      columns: COLUMNS(now),
      empty: 'Nothing was valid at that instant.',
    }),
    {
      path: 'cert show',
      summary: 'Show a certificate',
      parameters: [serial],
      flags: [{ name: 'pem', summary: 'print the certificate and its chain only' }],
      async run(input, terminal) {
        const certificate = await (await open(input)).get(at(needed(input, 'serial')));
        terminal.result(certificate, input.has('pem') ? pemOf(certificate) : describe(certificate));
        return EXIT.ok;
      },
    },
    {
      path: 'cert revoke',
      summary: 'Revoke a certificate for good',
      parameters: [serial],
      flags: [{ name: 'cause', value: 'cause', summary: 'why', choices: CAUSES, required: true }],
      changes: true,
      async run(input, terminal) {
        const api = await open(input);
        const path = at(needed(input, 'serial'));
        if (input.dryRun) {
          const certificate = await api.get(path);
          terminal.result({ would: 'revoke', certificate }, `Would revoke for good:\n${describe(certificate)}`);
          return EXIT.ok;
        }
        const answer = await api.post(`${path}/revoke`, { cause: input.flag('cause')! });
        terminal.result(answer, `${needed(input, 'serial')} is revoked for good.`);
        return EXIT.ok;
      },
    },
    traceCommand(open, at),
  ];
}

function traceCommand(open: OpenApi, at: (serial: string) => string): Command {
  return listCommand(open, {
    path: 'trace',
    summary: 'Tell everything the ledger says about one identity, in order',
    parameters: [{ name: 'serial', summary: 'serial number of any of its certificates', required: true }],
    flags: [{ name: 'receipts', summary: 'with a receipt for each entry, which verifies offline (see --json)' }],
    request: (input) => ({
      path: `${at(needed(input, 'serial'))}/trace`,
      query: { receipts: input.has('receipts') ? 'true' : undefined },
    }),
    columns: [
      ['ENTRY', (item) => textOf(item, 'index') || textOf(item, 'ledger_index')],
      ['TIME', (item) => textOf(item, 'time')],
      ['EVENT', (item) => textOf(item, 'type')],
      ['DETAIL', (item) => summaryOf(item)],
    ],
    empty: 'The ledger says nothing about it.',
  });
}

/** The members of an entry's body that a line has room for. */
function summaryOf(item: Item): string {
  const body = typeof item['body'] === 'object' && item['body'] !== null ? (item['body'] as Item) : {};
  return Object.entries(body)
    .filter(([key, value]) => typeof value !== 'object' && key !== 'certificate')
    .map(([key, value]) => `${key}=${String(value)}`)
    .join(' ')
    .slice(0, 160);
}

function pemOf(certificate: Item): string {
  const chain = Array.isArray(certificate['chain']) ? (certificate['chain'] as string[]) : [];
  return [textOf(certificate, 'certificate'), ...chain].join('');
}

function describe(certificate: Item): string {
  return list([
    ['serial', textOf(certificate, 'serial')],
    ['SPIFFE ID', textOf(certificate, 'spiffe_id')],
    ['status', textOf(certificate, 'status')],
    ['profile', textOf(certificate, 'profile')],
    ['valid from', textOf(certificate, 'not_before')],
    ['valid until', textOf(certificate, 'not_after')],
    ['revoked', textOf(certificate, 'revoked_at')],
    ['cause', textOf(certificate, 'cause')],
    ['ledger entry', textOf(certificate, 'ledger_index')],
  ]);
}
