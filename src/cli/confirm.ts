import type { Flag, Input, Terminal } from './command.ts';

/** Of every command that asks before it does what cannot be undone. */
export const YES_FLAG: Flag = { name: 'yes', summary: 'do not ask' };

/**
 * True when the person at the terminal has typed the name of what is about to go, so that no slip of the hand does it.
 * Scripts (nobody at the terminal) and `--yes` are not asked.
 */
export async function confirmed(
  input: Input,
  terminal: Terminal,
  { what, name }: { readonly what: string; readonly name: string },
): Promise<boolean> {
  if (input.has('yes') || !terminal.interactive) return true;
  const answer = await terminal.ask(`${what} This cannot be undone. Type ${name} to go on:`);
  if (answer?.trim() === name) return true;
  terminal.say('Nothing was changed.');
  return false;
}
