import type { Log } from '../../base/log.ts';
import type { WithApi } from '../../cli/api.ts';
import { APPROVAL_FLAGS } from '../../cli/approval-flags.ts';
import { type Command, EXIT, type Input } from '../../cli/command.ts';
import { describeDomain } from '../../cli/commands/domain.ts';
import { CONNECTION_FLAGS } from '../../cli/connection.ts';
import { needed } from '../../cli/input.ts';
import { parseCount, parseDuration } from '../../cli/values.ts';
import { createDomain, KEYS } from '../../spiffe/domains.ts';
import type { CreateDomain } from '../../wire/domain.ts';
import { administer, DATA_FLAG } from '../administration.ts';
import { asAdministrator, goesToServer, HERE_FLAG } from '../as-administrator.ts';
import { PASSPHRASE_FLAGS } from '../passphrase.ts';
import { domainAnswer, domainParts, inputOf } from '../server/domain-operations.ts';

/** What makes a further trust domain: on the server's machine, with the passphrase, or by approval from anywhere. */
export function domainCreateCommand(log: () => Log, withApi: WithApi, now: () => number): Command {
  return {
    path: 'domain create',
    summary: 'Make a further trust domain, whose root lies here',
    details:
      'Its subordinate authorities are signed by the profile that the flags say, which those who agree to this agree to. Its name has nothing to do with that of this installation. On the server’s machine, with the passphrase; or from anywhere with an approval.',
    parameters: [{ name: 'domain', summary: 'its name, e.g. partners.example', required: true }],
    flags: [
      { name: 'lifetime', value: 'duration', summary: 'how long a subordinate authority lives at most', default: '7d' },
      {
        name: 'key',
        value: 'kind',
        summary: `kind of its key: ${KEYS.join(', ')}; else ec-p256 and ec-p384`,
        choices: KEYS,
        many: true,
      },
      { name: 'most', value: 'number', summary: 'how many there are at a time', default: '10' },
      ...[DATA_FLAG, ...PASSPHRASE_FLAGS, HERE_FLAG, ...APPROVAL_FLAGS, ...CONNECTION_FLAGS],
    ],
    changes: true,
    async run(input, terminal) {
      const body = bodyOf(input);
      if (goesToServer(input) && !input.dryRun) {
        const made = await withApi(input, (api) => api.post('/v1/domains', { ...body }));
        terminal.result(made, describeDomain(made, now()));
        return EXIT.ok;
      }
      const made = await administer(input, log(), async ({ parts }) => {
        const profile = { ...body.profile, keys: [...body.profile.keys] };
        const what = { command: 'domain create', parameters: { trust_domain: body.trust_domain, profile } };
        const shown = await asAdministrator(input, what, parts, (caller, acting) =>
          createDomain(caller, inputOf(body), { ...domainParts(parts), ...acting }, { dryRun: input.dryRun }),
        );
        return domainAnswer(shown, parts.clock.now());
      });
      const text = input.dryRun ? `Would make ${made.trust_domain}.` : describeDomain({ ...made }, now());
      terminal.result(input.dryRun ? { would: 'create', trust_domain: made.trust_domain } : made, text);
      return EXIT.ok;
    },
  };
}

function bodyOf(input: Input): CreateDomain {
  const keys = input.flags('key');
  return {
    trust_domain: needed(input, 'domain'),
    profile: {
      most_seconds: parseDuration(input.flag('lifetime')!, 'lifetime'),
      keys: keys.length === 0 ? ['ec-p256', 'ec-p384'] : keys,
      most: parseCount(input.flag('most')!, 'most', 1000),
    },
  };
}
