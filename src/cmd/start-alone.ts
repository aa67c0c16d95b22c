import type { Command } from '../cli/command.ts';
import { startCommand } from './commands/start.ts';
import { sayingDiskErrors } from './disk-error.ts';

/** The one command `start`, as it is in the table of all commands. */
export function startAlone(): readonly Command[] {
  return [sayingDiskErrors(startCommand())];
}
