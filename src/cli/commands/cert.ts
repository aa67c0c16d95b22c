import { type Item, itemOf, textOf, type WithApi } from '../api.ts';
import { type Command, EXIT, type Flag, type Input } from '../command.ts';
import { WAIT_FLAG, watchEffect } from '../effect.ts';
import { EVIDENCE_FLAG, evidenceOf } from '../evidence.ts';
import { needed } from '../input.ts';
import { type Listing, listCommand } from '../listing.ts';
import { list, relative } from '../table.ts';
import { parseDuration, parseTime, readInput } from '../values.ts';
import { CAUSES } from './causes.ts';

const WHOSE: readonly Flag[] = [
  { name: 'agent', value: 'name', summary: 'of this agent only' },
  { name: 'service', value: 'name', summary: 'of this service only' },
  { name: 'instance', value: 'id', summary: 'of this instance only' },
];

const WANTED: readonly Flag[] = [
  { name: 'csr', value: 'file', summary: 'CSR in PEM; - for standard input', required: true },
  { name: 'lifetime', value: 'duration', summary: 'shorter than the profile says' },
  { name: 'dns', value: 'name', summary: 'DNS name, where the profile allows it', many: true },
  { name: 'ip', value: 'address', summary: 'IP address, where the profile allows it', many: true },
  { name: 'scope', value: 'name', summary: 'only these scopes of the instance, from here on', many: true },
];

/** The path of a certificate; its serial number may be pasted in any case and with colons. */
export function certificatePath(input: Input): string {
  return `/v1/certificates/${encodeURIComponent(needed(input, 'serial').toLowerCase().replaceAll(':', ''))}`;
}

const SERIAL = { name: 'serial', summary: 'serial number in hex', required: true } as const;

/** `writ cert …`: certificates, and who was who at an instant. */
export function certCommands(withApi: WithApi, now: () => number): readonly Command[] {
  const columns = (...status: Listing['columns']): Listing['columns'] => [
    ['SERIAL', (item) => textOf(item, 'serial')],
    ['WHOSE', (item) => `${textOf(item, 'kind')}/${textOf(item, 'name')}`],
    ['INSTANCE', (item) => textOf(item, 'instance')],
    ['PROFILE', (item) => textOf(item, 'profile')],
    ...status,
    ['EXPIRES', (item) => relative(Date.parse(textOf(item, 'not_after')), now())],
  ];
  return [
    issueCommand(withApi),
    replaceCommand(withApi),
    listCommand(withApi, {
      path: 'cert list',
      summary: 'List certificates, newest first',
      flags: [
        ...WHOSE,
        { name: 'profile', value: 'name', summary: 'of this profile only' },
        {
          name: 'status',
          value: 'status',
          summary: 'in this status only',
          choices: ['active', 'held', 'expired', 'revoked'],
        },
      ],
      request: (input) => ({
        path: '/v1/certificates',
        query: { ...whose(input), profile: input.flag('profile'), status: input.flag('status') },
      }),
      columns: columns(['STATUS', (item) => textOf(item, 'status')]),
      empty: 'No certificates.',
    }),
    listCommand(withApi, {
      path: 'cert at',
      summary: 'Say which identities were valid at an instant',
      details:
        'Valid at T: issued by then, not yet expired, and not revoked by then, whatever happened afterwards. What was quarantined then could do nothing, and says held.',
      flags: [{ name: 'time', value: 'time', summary: 'instant: RFC 3339, "now", or -15m', default: 'now' }, ...WHOSE],
      examples: [
        {
          line: 'writ cert at --time 2026-11-22T14:03:22Z --agent planner',
          does: 'which instances of planner could act then',
        },
      ],
      request: (input) => ({
        path: '/v1/certificates/at',
        query: { time: parseTime(input.flag('time')!, 'time', now()), ...whose(input) },
      }),
      columns: columns(['THEN', thenOf], ['NOW', (item) => textOf(item, 'status')]),
      empty: 'Nothing was valid at that instant.',
    }),
    {
      path: 'cert show',
      summary: 'Show a certificate',
      parameters: [SERIAL],
      flags: [{ name: 'pem', summary: 'print the certificate and its chain only' }],
      async run(input, terminal) {
        const certificate = await withApi(input, (api) => api.get(certificatePath(input)));
        terminal.result(certificate, input.has('pem') ? pemOf(certificate) : describe(certificate));
        return EXIT.ok;
      },
    },
    {
      path: 'cert revoke',
      summary: 'Revoke a certificate for good',
      details: 'The instance may go on with another certificate; to end all of it use "writ instance stop".',
      parameters: [SERIAL],
      flags: [
        { name: 'cause', value: 'cause', summary: 'why', choices: CAUSES, required: true },
        EVIDENCE_FLAG,
        WAIT_FLAG,
      ],
      changes: true,
      run: (input, terminal) =>
        withApi(input, async (api) => {
          if (input.dryRun) {
            const certificate = await api.get(certificatePath(input));
            terminal.result({ would: 'revoke', certificate }, `Would revoke for good:\n${describe(certificate)}`);
            return EXIT.ok;
          }
          const revoked = await api.post(`${certificatePath(input)}/revoke`, {
            cause: input.flag('cause')!,
            ...evidenceOf(input),
          });
          const subject = `serial:${textOf(revoked, 'serial')}`;
          const answer = await watchEffect(revoked, { input, terminal, api, subject });
          terminal.result(answer, `${textOf(answer, 'serial')} is revoked for good.\n${describe(answer)}`);
          return EXIT.ok;
        }),
    },
  ];
}

function issueCommand(withApi: WithApi): Command {
  return {
    path: 'cert issue',
    summary: 'Issue a certificate to an instance for its CSR',
    details:
      'For instances that cannot ask by themselves. Usually an instance enrols with a join token and renews by itself.',
    parameters: [{ name: 'instance', summary: 'id of the instance', required: true }],
    flags: WANTED,
    changes: true,
    async run(input, terminal) {
      const instance = needed(input, 'instance');
      const body = { instance, ...wanted(input) };
      if (input.dryRun) {
        terminal.result({ would: 'issue', instance }, `Would issue a certificate to ${instance}.`);
        return EXIT.ok;
      }
      const certificate = await withApi(input, (api) => api.post('/v1/certificates', body));
      terminal.result(certificate, pemOf(certificate));
      return EXIT.ok;
    },
  };
}

function replaceCommand(withApi: WithApi): Command {
  return {
    path: 'cert replace',
    summary: 'Issue a certificate in place of another, which is revoked as superseded',
    parameters: [SERIAL],
    flags: WANTED,
    changes: true,
    async run(input, terminal) {
      const serial = needed(input, 'serial');
      const body = { serial, ...wanted(input) };
      if (input.dryRun) {
        terminal.result({ would: 'replace', serial }, `Would replace and revoke ${serial}.`);
        return EXIT.ok;
      }
      const certificate = await withApi(input, (api) => api.post('/v1/certificates/replace', body));
      terminal.result(certificate, pemOf(certificate));
      return EXIT.ok;
    },
  };
}

function whose(input: Input): Record<string, string | undefined> {
  return { agent: input.flag('agent'), service: input.flag('service'), instance: input.flag('instance') };
}

function wanted(input: Input): Item {
  const lifetime = input.flag('lifetime');
  const [dns, ip, scopes] = [input.flags('dns'), input.flags('ip'), input.flags('scope')];
  return {
    csr: readInput(input.flag('csr')!, '--csr'),
    ...(lifetime !== undefined && { lifetime_seconds: parseDuration(lifetime, 'lifetime') }),
    ...(dns.length > 0 && { dns_names: dns }),
    ...(ip.length > 0 && { ip_addresses: ip }),
    ...(scopes.length > 0 && { scopes }),
  };
}

function pemOf(certificate: Item): string {
  const chain = Array.isArray(certificate['chain']) ? (certificate['chain'] as string[]) : [];
  return [textOf(certificate, 'certificate'), ...chain].join('');
}

/** What a certificate was at the instant that was asked about, at which it was valid. */
function thenOf(certificate: Item): string {
  return certificate['held_then'] === true ? 'held' : 'active';
}

/** Who stopped it, or what it hangs on, by which rule and why. */
function why(stopped: Item): [string, string][] {
  const target = itemOf(itemOf(stopped, 'stop'), 'target');
  const rules = stopped['authority'];
  return [
    ['fell with', [textOf(target, 'kind'), textOf(target, 'name')].filter(Boolean).join(' ')],
    ['stopped by', textOf(stopped, 'stopped_by')],
    ['confirmed by', textOf(stopped, 'confirmed_by')],
    ['allowed by', Array.isArray(rules) ? rules.join(', ') : ''],
    ['because', textOf(stopped, 'cause')],
    ['evidence', textOf(stopped, 'evidence')],
  ];
}

function describe(certificate: Item): string {
  return list([
    ['serial', textOf(certificate, 'serial')],
    ['SPIFFE ID', textOf(certificate, 'spiffe_id')],
    ['status', textOf(certificate, 'status')],
    ['profile', textOf(certificate, 'profile')],
    ['issued', textOf(certificate, 'issued_at')],
    ['valid until', textOf(certificate, 'not_after')],
    ['revoked', textOf(certificate, 'revoked_at')],
    ['held since', textOf(certificate, 'held_since')],
    ['cause', [textOf(certificate, 'cause'), textOf(certificate, 'reason')].filter(Boolean).join(', ')],
    ...why(itemOf(certificate, 'stopped')),
    ['the one before', textOf(certificate, 'previous')],
    ['ledger entry', textOf(certificate, 'ledger_index')],
  ]);
}
