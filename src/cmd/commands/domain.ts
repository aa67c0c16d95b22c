import { WritError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import type { WithApi } from '../../cli/api.ts';
import { APPROVAL_FLAGS } from '../../cli/approval-flags.ts';
import { type Command, EXIT, type Input } from '../../cli/command.ts';
import { describeDomain } from '../../cli/commands/domain.ts';
import { CONNECTION_FLAGS } from '../../cli/connection.ts';
import { needed } from '../../cli/input.ts';
import { parseCount, parseDuration } from '../../cli/values.ts';
import { createDomain, KEYS } from '../../spiffe/domain/create.ts';
import { type DomainRotation, rotateDomain } from '../../spiffe/domain/rotate.ts';
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

/** What has another authority follow in a further trust domain: as the making of one. */
export function domainRotateCommand(log: () => Log, withApi: WithApi, now: () => number): Command {
  return {
    path: 'domain rotate',
    summary: 'Have another authority sign in a further trust domain, or another root follow',
    details:
      'Both happen by themselves before an authority ends. Another root is published a week before it takes over, and the one before stays published while anything below it is valid. With --at-once, for a root key that was stolen, it takes over now and those before are published no more. On the server’s machine, with the passphrase; or from anywhere with an approval.',
    parameters: [{ name: 'domain', summary: 'its name, e.g. partners.example', required: true }],
    flags: [
      { name: 'root', summary: 'another root; else another authority below the present one' },
      { name: 'at-once', summary: 'with --root: the key of the present one was stolen' },
      ...[DATA_FLAG, ...PASSPHRASE_FLAGS, HERE_FLAG, ...APPROVAL_FLAGS, ...CONNECTION_FLAGS],
    ],
    changes: true,
    async run(input, terminal) {
      const trustDomain = needed(input, 'domain');
      const what = rotationOf(input);
      if (input.dryRun) {
        const which = what === 'signing' ? 'another authority sign' : 'another root follow';
        terminal.result({ would: 'rotate', trust_domain: trustDomain, what }, `Would have ${which} in ${trustDomain}.`);
        return EXIT.ok;
      }
      if (goesToServer(input)) {
        const path = `/v1/domains/${encodeURIComponent(trustDomain)}/rotate`;
        const done = await withApi(input, (api) => api.post(path, { what }));
        terminal.result(done, describeDomain(done, now()));
        return EXIT.ok;
      }
      const done = await administer(input, log(), async ({ parts }) => {
        const asked = { command: 'domain rotate', parameters: { trust_domain: trustDomain, what } };
        const shown = await asAdministrator(input, asked, parts, (caller, acting) =>
          rotateDomain(caller, { trustDomain, what }, { ...domainParts(parts), ...acting }),
        );
        return domainAnswer(shown, parts.clock.now());
      });
      terminal.result(done, describeDomain({ ...done }, now()));
      return EXIT.ok;
    },
  };
}

function rotationOf(input: Input): DomainRotation {
  if (!input.has('at-once')) return input.has('root') ? 'root' : 'signing';
  if (input.has('root')) return 'root_at_once';
  throw new WritError('bad_request', 'Only a root is replaced with --at-once.', {
    field: '--at-once',
    remedy: 'Another authority signs at once anyway; one that was stolen is for "writ domain revoke".',
  });
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
