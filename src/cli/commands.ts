import { systemClock } from '../base/clock.ts';
import type { Command } from './command.ts';
import { agentCommands } from './commands/agent.ts';
import { certCommands } from './commands/cert.ts';
import { checkReceiptCommand } from './commands/check-receipt.ts';
import { installationCommands } from './commands/installation.ts';
import { instanceCommands } from './commands/instance.ts';
import { ledgerCommands } from './commands/ledger.ts';
import { ownerCommands } from './commands/owner.ts';
import { runCommands } from './commands/run.ts';
import { stopCommands } from './commands/stop.ts';
import { tokenCommands } from './commands/token.ts';
import { traceCommand } from './commands/trace.ts';
import { asOperator, CONNECTION_FLAGS } from './connection.ts';

/** Every command that works away from the server's machine, in the order of the reference. */
export function clientCommands(): readonly Command[] {
  const { now } = systemClock;
  const withApi = asOperator(systemClock);
  const connected = [
    ...agentCommands(withApi),
    ...ownerCommands(withApi),
    ...tokenCommands(withApi, now),
    ...instanceCommands(withApi, now),
    ...certCommands(withApi, now),
    ...stopCommands(withApi),
    traceCommand(withApi),
    ...runCommands(withApi),
    ...ledgerCommands(withApi),
    ...installationCommands(withApi, now),
  ].map((command) => ({ ...command, flags: [...(command.flags ?? []), ...CONNECTION_FLAGS] }));
  return [...connected, checkReceiptCommand()];
}
