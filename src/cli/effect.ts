import { setTimeout as pause } from 'node:timers/promises';
import { isWritError } from '../base/error.ts';
import { type Api, type Item, textOf } from './api.ts';
import type { Flag, Input, Terminal } from './command.ts';

export const WAIT_FLAG: Flag = {
  name: 'wait',
  summary: 'show how it takes effect at every connected enforcement point',
};

const POLL_MS = 50;
/** The server gives a point five seconds, and says then that it has not acknowledged. */
const LONGEST_MS = 12_000;

/**
 * With `--wait`, watches how what was stopped takes effect at the enforcement points that the asked server serves, until
 * all have acknowledged or the server waits no longer. Gives the answer with `effect` added, as far as it has come when
 * the person who watches has seen enough (Ctrl-C), or is let in no more because they stopped themselves; without the flag
 * as it was.
 */
export async function watchEffect(
  answer: Item,
  {
    input,
    terminal,
    api,
    subject,
  }: { readonly input: Input; readonly terminal: Terminal; readonly api: Api; readonly subject: string },
): Promise<Item> {
  if (!input.has('wait')) return answer;
  const enough = new AbortController();
  const interrupt = (): void => enough.abort();
  // The stop is made: whoever interrupts this gets its answer all the same.
  process.once('SIGINT', interrupt);
  try {
    const { effect, refused } = await follow(subject, { api, terminal, enough: enough.signal });
    const why = refused === undefined ? '' : `It is done. You are let in no more: ${refused} `;
    const cut = enough.signal.aborted || refused !== undefined;
    terminal.say(`${why}${cut ? 'Not watched to the end. ' : ''}${effectText(effect)}`);
    return effect === undefined ? answer : { ...answer, effect };
  } finally {
    process.off('SIGINT', interrupt);
  }
}

async function follow(
  subject: string,
  { api, terminal, enough }: { readonly api: Api; readonly terminal: Terminal; readonly enough: AbortSignal },
): Promise<{ readonly effect: Item | undefined; readonly refused?: string }> {
  const late = performance.now() + LONGEST_MS;
  for (let effect: Item | undefined; ; ) {
    if (enough.aborted) return { effect };
    try {
      effect = await api.get('/v1/feed/effect', { subject });
    } catch (error) {
      // An own certificate, or the authority that issued it: the stop is made, and its answer is not lost.
      if (isWritError(error, 'revoked') || isWritError(error, 'inactive')) return { effect, refused: error.message };
      if (!isWritError(error, 'not_found')) throw error;
    }
    if (effect !== undefined) terminal.progress(effectText(effect));
    // All have: what the server still waits for is only whether one reports a use that should not have been.
    const all = effect !== undefined && effect['acknowledged'] === effect['points'];
    if (effect?.['complete'] === true || (all && Number(effect?.['points']) > 0) || performance.now() > late) {
      return { effect };
    }
    await pause(POLL_MS, undefined, { signal: enough }).catch(() => undefined);
  }
}

function effectText(effect: Item | undefined): string {
  if (effect === undefined) return 'No enforcement point has said anything of it.';
  const [points, acknowledged] = [Number(effect['points']), Number(effect['acknowledged'])];
  if (points === 0) return 'No enforcement point is connected to this server.';
  const missing = Array.isArray(effect['missing']) ? (effect['missing'] as string[]) : [];
  const late = missing.length === 0 ? '' : ` Not yet: ${missing.join(', ')}.`;
  const times = `p99 ${textOf(effect, 'p99_ms')} ms, longest ${textOf(effect, 'max_ms')} ms`;
  const uses = `${textOf(effect, 'accepted_before')} uses before, ${textOf(effect, 'accepted_after')} after`;
  return `Refused at ${acknowledged} of ${points} enforcement points: ${times}; ${uses}.${late}`;
}
