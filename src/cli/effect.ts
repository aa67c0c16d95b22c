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
 * all have acknowledged or the server waits no longer. Gives the answer with `effect` added; without the flag as it was.
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
  const effect = await follow(subject, api, terminal);
  terminal.say(effectText(effect));
  return effect === undefined ? answer : { ...answer, effect };
}

async function follow(subject: string, api: Api, terminal: Terminal): Promise<Item | undefined> {
  const late = performance.now() + LONGEST_MS;
  for (let found: Item | undefined; ; ) {
    try {
      found = await api.get('/v1/feed/effect', { subject });
    } catch (error) {
      if (!isWritError(error, 'not_found')) throw error;
    }
    if (found !== undefined) terminal.progress(effectText(found));
    // All have: what the server still waits for is only whether one reports a use that should not have been.
    const all = found !== undefined && found['acknowledged'] === found['points'];
    if (found?.['complete'] === true || (all && Number(found?.['points']) > 0) || performance.now() > late)
      return found;
    await pause(POLL_MS);
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
