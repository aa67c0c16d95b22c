import type { Caller } from '../../base/access.ts';
import { WritError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import type { WithApi } from '../../cli/api.ts';
import { APPROVAL_FLAGS } from '../../cli/approval-flags.ts';
import { type Command, EXIT, type Input, type Terminal } from '../../cli/command.ts';
import { describeFederation } from '../../cli/commands/federation.ts';
import { CONNECTION_FLAGS } from '../../cli/connection.ts';
import { needed } from '../../cli/input.ts';
import { readInput } from '../../cli/values.ts';
import type { Acting } from '../../revocation/acting.ts';
import type { Federation } from '../../spiffe/federation.ts';
import { trustDomainsIn } from '../../spiffe/judge-bundle.ts';
import { addFederation, type FederationParts, replaceBundle } from '../../spiffe/manage.ts';
import type { AddFederation, Federation as WireFederation } from '../../wire/federation.ts';
import { administer, DATA_FLAG } from '../administration.ts';
import { asAdministrator, goesToServer, HERE_FLAG } from '../as-administrator.ts';
import { endpointRules } from '../config/federation.ts';
import { PASSPHRASE_FLAGS } from '../passphrase.ts';
import { federationAnswer, federationParts, inputOf } from '../server/federation-operations.ts';

const DOMAIN = { name: 'domain', summary: 'the other trust domain, e.g. partner.example', required: true } as const;
const WHERE = [DATA_FLAG, ...PASSPHRASE_FLAGS, HERE_FLAG, ...APPROVAL_FLAGS, ...CONNECTION_FLAGS];

/** What has another trust domain believed: on the server's machine, with the passphrase, or by approval from anywhere. */
export function federationChangeCommands(log: () => Log, withApi: WithApi): readonly Command[] {
  /** Runs the flow on the opened installation. */
  const here = (
    input: Input,
    what: Parameters<typeof asAdministrator>[1],
    act: (caller: Caller, parts: FederationParts) => Promise<Federation>,
  ): Promise<WireFederation> =>
    administer(input, log(), async ({ parts, config }) => {
      const { allowed } = endpointRules(config.federation);
      const flow = (caller: Caller, acting: Acting): Promise<Federation> =>
        act(caller, { ...federationParts(parts, allowed), ...acting });
      return federationAnswer(await asAdministrator(input, what, parts, flow), parts.clock.now());
    });
  return [
    {
      path: 'federation add',
      summary: 'Believe SVIDs of another trust domain',
      details:
        'Its bundle is fetched from the URL at once and from then on. With https_web the server there is known by a public certificate; with https_spiffe by its SPIFFE ID and the bundle that came to you in another way. On the server’s machine, with the passphrase; or from anywhere with an approval.',
      parameters: [DOMAIN],
      flags: [
        { name: 'url', value: 'url', summary: 'its bundle endpoint', required: true },
        { name: 'profile', value: 'name', summary: 'https_web or https_spiffe', required: true },
        { name: 'endpoint-id', value: 'spiffe-id', summary: 'SPIFFE ID of the endpoint’s server, with https_spiffe' },
        { name: 'bundle-file', value: 'file', summary: 'its bundle as it is now (JSON); - for standard input' },
        ...WHERE,
      ],
      changes: true,
      examples: [
        {
          line: 'writ federation add partner.example --url https://id.partner.example/bundle.json --profile https_web',
          does: 'by a public certificate',
        },
        {
          line: 'writ federation add prod.example --url https://spire.prod.example:8443/ --profile https_spiffe --endpoint-id spiffe://prod.example/spire/server --bundle-file prod.json',
          does: 'by SPIFFE alone',
        },
      ],
      async run(input, terminal) {
        const body = bodyOf(input);
        if (goesToServer(input) && !input.dryRun) {
          return shown(terminal, await withApi(input, (api) => api.post('/v1/federations', { ...body })), body);
        }
        const what = { command: 'federation add', parameters: { ...body } };
        const made = await here(input, what, (caller, parts) =>
          addFederation(caller, inputOf(body), parts, { dryRun: input.dryRun }),
        );
        if (!input.dryRun) return shown(terminal, made, body);
        terminal.result({ would: 'add', federation: made }, `Would believe ${made.trust_domain}.`);
        return EXIT.ok;
      },
    },
    {
      path: 'federation replace',
      summary: 'Put the bundle of another trust domain in by hand',
      details:
        'It counts until the next one is fetched, whatever its sequence: for a trust domain that had to begin again, or whose server cannot be known any more.',
      parameters: [DOMAIN],
      flags: [
        { name: 'bundle-file', value: 'file', summary: 'the bundle (JSON); - for standard input', required: true },
        ...WHERE,
      ],
      changes: true,
      async run(input, terminal) {
        const trustDomain = needed(input, 'domain');
        const bundle = readInput(input.flag('bundle-file')!, '--bundle-file');
        const given = { trust_domain: trustDomain, bundle };
        if (input.dryRun) {
          terminal.result(
            { would: 'replace', trust_domain: trustDomain },
            `Would replace the bundle of ${trustDomain}.`,
          );
          return EXIT.ok;
        }
        if (goesToServer(input)) {
          const path = `/v1/federations/${encodeURIComponent(trustDomain)}/bundle`;
          return shown(terminal, await withApi(input, (api) => api.put(path, { bundle })), given);
        }
        const what = { command: 'federation replace', parameters: given };
        return shown(
          terminal,
          await here(input, what, (caller, parts) => replaceBundle(caller, { trustDomain, bundle }, parts)),
          given,
        );
      },
    },
  ];
}

function bodyOf(input: Input): AddFederation {
  const profile = input.flag('profile')!;
  if (profile !== 'https_web' && profile !== 'https_spiffe') {
    throw new WritError('bad_request', 'This is no profile of bundle endpoints.', {
      field: '--profile',
      remedy: 'Give https_web or https_spiffe; ask whoever runs the endpoint.',
    });
  }
  const [endpointId, file] = [input.flag('endpoint-id'), input.flag('bundle-file')];
  return {
    trust_domain: needed(input, 'domain'),
    url: input.flag('url')!,
    profile,
    ...(endpointId === undefined ? {} : { endpoint_id: endpointId }),
    ...(file === undefined ? {} : { bundle: readInput(file, '--bundle-file') }),
  };
}

/** What was put in by hand, and under which name. */
interface Given {
  readonly trust_domain: string;
  readonly bundle?: string | undefined;
}

function shown(terminal: Terminal, federation: object, { trust_domain: name, bundle }: Given): number {
  terminal.result(federation, describeFederation({ ...federation }));
  const said = bundle === undefined ? [] : [...trustDomainsIn(Buffer.from(bundle))];
  // Everything about it may be right but the name, and then none of its SVIDs is believed.
  if (said.length > 0 && !said.includes(name)) {
    terminal.say(`Its authorities are those of ${said.join(', ')}, not of ${name}: see that this is the right name.`);
  }
  terminal.say('Its bundle is fetched within a second or two: see "writ federation list".');
  return EXIT.ok;
}
