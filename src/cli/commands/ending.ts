import { type Api, type Item, itemOf, textOf } from '../api.ts';
import { EXIT, type Flag, type Input, type Terminal } from '../command.ts';
import { YES_FLAG } from '../confirm.ts';
import { WAIT_FLAG, watchEffect } from '../effect.ts';
import { EVIDENCE_FLAG, evidenceOf } from '../evidence.ts';
import { CAUSES } from './causes.ts';
import { falls } from './stop.ts';

/** Of commands that end an agent, a service or an instance for good. */
export const END_FLAGS: readonly Flag[] = [
  { name: 'cause', value: 'cause', summary: 'why', choices: CAUSES, default: 'decommissioned' },
  EVIDENCE_FLAG,
  WAIT_FLAG,
  YES_FLAG,
];

interface Run {
  readonly input: Input;
  readonly terminal: Terminal;
  readonly api: Api;
}

/** Says what would be ended, and what would fall with it. */
export async function wouldEnd(
  { input, terminal, api }: Run,
  how: { readonly verb: string; readonly kind: 'agent' | 'instance'; readonly item: Item; readonly text: string },
): Promise<number> {
  const { verb, kind, item, text } = how;
  const target = { kind, name: textOf(item, kind === 'agent' ? 'name' : 'id') };
  const planned = await api.post('/v1/stops', { target, cause: input.flag('cause')!, dry_run: true });
  const said = `Would ${verb} for good:\n${text}\n\n${falls(planned, false)}`;
  terminal.result({ would: verb, [kind]: item, falls: itemOf(planned, 'falls') }, said);
  return EXIT.ok;
}

/** Ends it by its route; gives the answer, with `--wait` when it has taken effect. `subject` is what the feed calls it. */
export async function end(run: Run, { route, subject }: { route: string; subject: string }): Promise<Item> {
  const { input, api } = run;
  const done = await api.post(route, { cause: input.flag('cause')!, ...evidenceOf(input) });
  return watchEffect(done, { ...run, subject });
}
