import type { Caller } from '../base/access.ts';
import { isWritError, WritError } from '../base/error.ts';
import { approvalHeaders, goesByApproval } from '../cli/approval-flags.ts';
import type { Flag, Input } from '../cli/command.ts';
import type { CanonicalValue } from '../merkle/canonical-json.ts';
import { bindingOf } from '../rest/bound-request.ts';
import type { Acting } from '../revocation/acting.ts';
import { ADMINISTRATOR } from './operator-credential.ts';
import { askApproval } from './server/approval-operations.ts';
import { forCaller } from './server/for-caller.ts';
import type { ThreadParts } from './server/thread-parts.ts';

/** Of every command that works on the server's machine and from anywhere with an approval. */
export const HERE_FLAG: Flag = {
  name: 'here',
  summary: 'on the server’s machine with the passphrase, also with the approval flags; not as an operator',
};

/** Of the commands by which people come back to an installation whose operators are lost. */
export const RECOVER_FLAG: Flag = {
  name: 'recover',
  summary: 'with --here --request-approval: to take effect after three days unless an operator denies it',
};

/** What is about to be done, as those who are asked read it: the very same command later is the very same request. */
interface Act {
  /** E.g. `group add`. */
  readonly command: string;
  readonly parameters: Readonly<Record<string, CanonicalValue>>;
}

/** Whether a command that also works on the server's machine is to go to the server, with or for an approval. */
export function goesToServer(input: Input): boolean {
  return goesByApproval(input) && !input.has('here');
}

/**
 * Runs what the administrator loosens or broadens with the passphrase. Where one person runs the installation that is
 * all it takes; where there are two or more, others agree: the command asks for their approval, or names it, as the
 * flags say. `act` is given the caller, and what its flow asks and commits with.
 *
 * Throws `needs_approval`, with the id of what was asked for.
 */
export async function asAdministrator<T>(
  input: Input,
  { command, parameters }: Act,
  parts: ThreadParts,
  act: (caller: Caller, acting: Acting) => Promise<T>,
): Promise<T> {
  const given = Object.entries(approvalHeaders(input));
  const headers = Object.fromEntries(given.map(([name, value]) => [name.toLowerCase(), value]));
  const ask = askApproval(parts);
  const recover = input.has('recover');
  const binding = bindingOf(
    { headers },
    { method: 'COMMAND', path: command, params: {}, query: {}, body: parameters },
    { repeated: async () => false, ask: (caller, wanted) => ask(caller, { ...wanted, recover }) },
  );
  // Whoever only wants to see what would happen asks nobody.
  const administrator: Caller = input.dryRun ? { kind: 'system', id: 'system:dry-run' } : ADMINISTRATOR;
  const caller = binding === undefined ? administrator : { ...administrator, bound: binding.bound };
  const { authorize } = parts.policy;
  const acting = await forCaller({ authorize, commit: parts.commit }, parts, { policy: true })(caller);
  try {
    return await act(caller, acting);
  } catch (error) {
    throw saidHere(binding === undefined ? error : await binding.translate(error, caller));
  }
}

/** What to do next, in the words of this command line. */
function saidHere(error: unknown): unknown {
  if (!isWritError(error, 'needs_approval')) return error;
  const { message, reasons, approval } = error;
  const remedy =
    approval?.id === undefined
      ? 'Ask for it with --here --request-approval REASON; the others answer with "writ approval approve".'
      : `Once it is granted, repeat the very same command with --here --approval ${approval.id}.`;
  return new WritError('needs_approval', message, {
    remedy,
    reasons,
    ...(approval === undefined ? {} : { approval }),
    cause: error,
  });
}
