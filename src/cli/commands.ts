import { systemClock } from '../base/clock.ts';
import type { Command } from './command.ts';
import { agentCommands } from './commands/agent.ts';
import { certCommands } from './commands/cert.ts';
import { installationCommands } from './commands/installation.ts';
import { instanceCommands } from './commands/instance.ts';
import { runCommands } from './commands/run.ts';
import { tokenCommands } from './commands/token.ts';
import { CONNECTION_FLAGS, openAsOperator } from './credential.ts';

/** Every command that speaks to a server, in the order of the reference. */
export function serverCommands(): readonly Command[] {
  const now = systemClock.now;
  return [
    ...agentCommands(openAsOperator),
    ...tokenCommands(openAsOperator, now),
    ...instanceCommands(openAsOperator, now),
    ...certCommands(openAsOperator, now),
    ...installationCommands(openAsOperator, now),
    ...runCommands(openAsOperator),
  ].map((command) => ({ ...command, flags: [...(command.flags ?? []), ...CONNECTION_FLAGS] }));
}
