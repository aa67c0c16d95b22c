import { WritError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import { publishProfile } from '../../ca/profile/publish.ts';
import { textOf, type WithApi } from '../../cli/api.ts';
import { APPROVAL_FLAGS } from '../../cli/approval-flags.ts';
import { type Command, EXIT } from '../../cli/command.ts';
import { CONNECTION_FLAGS } from '../../cli/connection.ts';
import { needed } from '../../cli/input.ts';
import { readInput } from '../../cli/values.ts';
import type { CanonicalValue } from '../../merkle/canonical-json.ts';
import { publishPolicy } from '../../policy/publish.ts';
import { administer, DATA_FLAG } from '../administration.ts';
import { asAdministrator, goesToServer, HERE_FLAG } from '../as-administrator.ts';
import { PASSPHRASE_FLAGS } from '../passphrase.ts';

const FILE = { name: 'file', summary: 'the file; - for standard input', required: true } as const;

/**
 * What loosens or tightens everything: policy sets and profiles, on the server's machine with the passphrase, or by
 * approval from anywhere.
 */
export function ruleCommands(log: () => Log, withApi: WithApi): readonly Command[] {
  return [
    {
      path: 'policy publish',
      summary: 'Put a policy set in force, if it has no errors and no warnings',
      details:
        'The file is the whole set: a rule that it leaves out holds no longer, and what no rule permits is refused.',
      parameters: [FILE],
      flags: [DATA_FLAG, ...PASSPHRASE_FLAGS, HERE_FLAG, ...APPROVAL_FLAGS, ...CONNECTION_FLAGS],
      changes: true,
      examples: [{ line: 'writ policy show > rules.cedar', does: 'begin with the set in force' }],
      async run(input, terminal) {
        const text = readInput(needed(input, 'file'), 'file');
        if (goesToServer(input) && !input.dryRun) {
          const answer = await withApi(input, (api) => api.put('/v1/policy', { text }));
          const { version, digest } = answer;
          terminal.result({ version, digest, published: true }, `In force: policy set ${version}, sha256:${digest}`);
          return EXIT.ok;
        }
        const set = await administer(input, log(), ({ parts }) => {
          const { reader, clock, policy } = parts;
          return asAdministrator(input, { command: 'policy publish', parameters: { text } }, parts, (caller, acting) =>
            publishPolicy(
              caller,
              { text },
              { reader, clock, cedar: policy.cedar, ...acting },
              { dryRun: input.dryRun },
            ),
          );
        });
        const done = input.dryRun ? 'Would be published' : 'In force';
        terminal.result(
          { version: set.version, digest: set.digest, published: !input.dryRun },
          `${done}: policy set ${set.version}, sha256:${set.digest}`,
        );
        return EXIT.ok;
      },
    },
    {
      path: 'profile publish',
      summary: 'Put a certificate profile in force',
      details: 'JSON, as "writ profile show NAME --json" prints it.',
      parameters: [FILE],
      flags: [DATA_FLAG, ...PASSPHRASE_FLAGS, HERE_FLAG, ...APPROVAL_FLAGS, ...CONNECTION_FLAGS],
      changes: true,
      async run(input, terminal) {
        const value = withoutHistory(parseJson(readInput(needed(input, 'file'), 'file')));
        if (goesToServer(input) && !input.dryRun) {
          const { name, ...rules } = value as Record<string, unknown>;
          const path = `/v1/profiles/${encodeURIComponent(String(name))}`;
          const answer = await withApi(input, (api) => api.put(path, rules));
          const said = `In force: profile ${String(name)}, version ${textOf(answer, 'version')}`;
          terminal.result({ ...answer, published: true }, said);
          return EXIT.ok;
        }
        const stored = await administer(input, log(), ({ parts }) => {
          const { reader, clock } = parts;
          const what = { command: 'profile publish', parameters: { profile: value as CanonicalValue } };
          return asAdministrator(input, what, parts, (caller, acting) =>
            publishProfile(caller, value, { reader, clock, ...acting }, { dryRun: input.dryRun }),
          );
        });
        const done = input.dryRun ? 'Would be published' : 'In force';
        terminal.result(
          { ...stored, published: !input.dryRun },
          `${done}: profile ${stored.profile.name}, version ${stored.version}`,
        );
        return EXIT.ok;
      },
    },
  ];
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new WritError('bad_request', 'The file is not JSON', {
      field: 'file',
      remedy: 'See "writ profile show agent --json".',
      cause,
    });
  }
}

/** Drops what `profile show` tells beside the profile itself: the publication gives both anew. */
function withoutHistory(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value).filter(([member]) => member !== 'version' && member !== 'updated_at'),
  );
}
