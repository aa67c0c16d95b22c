import { WritError } from '../base/error.ts';
import type { Flag, Input } from './command.ts';
import { parseDuration } from './values.ts';

/** Of every command whose change policy may put behind an approval. */
export const APPROVAL_FLAGS: readonly Flag[] = [
  { name: 'request-approval', value: 'reason', summary: 'ask those whose approval this needs, and say why' },
  { name: 'approval-lifetime', value: 'duration', summary: 'how long the request and the approval stand (default 1h)' },
  { name: 'approval', value: 'id', summary: 'do it with this approval, which then is used up' },
];

/** Whether a command that also works on the server's machine is to go to the server, with or for an approval. */
export function goesByApproval(input: Input): boolean {
  return input.flag('approval') !== undefined || input.flag('request-approval') !== undefined;
}

/** The headers by which a request names its approval or asks for one. */
export function approvalHeaders(input: Input): Readonly<Record<string, string>> {
  const [id, reason, lifetime] = ['approval', 'request-approval', 'approval-lifetime'].map((name) => input.flag(name));
  if (id !== undefined && reason !== undefined) {
    throw new WritError('bad_request', 'An approval is named and asked for at once', {
      field: '--approval',
      remedy: 'Ask first, and name it once it is granted.',
    });
  }
  if (id !== undefined) return { 'Writ-Approval': id };
  if (reason === undefined) return {};
  const seconds = lifetime === undefined ? '' : `&lifetime=${parseDuration(lifetime, 'approval-lifetime')}`;
  return { 'Writ-Request-Approval': `reason=${encodeURIComponent(reason)}${seconds}` };
}
