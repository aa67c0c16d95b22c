import { systemClock } from '../base/clock.ts';
import { APPROVAL_FLAGS } from './approval-flags.ts';
import type { Command } from './command.ts';
import { agentCommands } from './commands/agent.ts';
import { approvalCommands } from './commands/approval.ts';
import { attestorCommands } from './commands/attestor.ts';
import { breakGlassCommands } from './commands/break-glass.ts';
import { canaryCommands } from './commands/canary.ts';
import { certCommands } from './commands/cert.ts';
import { checkReceiptCommand } from './commands/check-receipt.ts';
import { domainCommands } from './commands/domain.ts';
import { entryCommands } from './commands/entry.ts';
import { federationCommands } from './commands/federation.ts';
import { feedCommands } from './commands/feed.ts';
import { installationCommands } from './commands/installation.ts';
import { instanceCommands } from './commands/instance.ts';
import { ledgerCommands } from './commands/ledger.ts';
import { ownerCommands } from './commands/owner.ts';
import { runCommands } from './commands/run.ts';
import { signalCommands } from './commands/signals.ts';
import { stopCommands } from './commands/stop.ts';
import { tokenCommands } from './commands/token.ts';
import { traceCommand } from './commands/trace.ts';
import { trustCommands } from './commands/trust.ts';
import { asOperator, CONNECTION_FLAGS } from './connection.ts';

/** Every command that works away from the server's machine, in the order of the reference. */
export function clientCommands(): readonly Command[] {
  const { now } = systemClock;
  const withApi = asOperator(systemClock);
  const connected = [
    ...agentCommands(withApi),
    ...ownerCommands(withApi),
    ...tokenCommands(withApi, now),
    ...attestorCommands(withApi),
    ...entryCommands(withApi),
    ...instanceCommands(withApi, now),
    ...certCommands(withApi, now),
    ...stopCommands(withApi),
    ...canaryCommands(withApi, now),
    ...feedCommands(withApi),
    ...signalCommands(withApi),
    ...federationCommands(withApi, now),
    ...domainCommands(withApi, now),
    ...trustCommands(withApi),
    traceCommand(withApi),
    ...approvalCommands(withApi, now),
    ...breakGlassCommands(withApi, now),
    ...runCommands(withApi),
    ...ledgerCommands(withApi),
    ...installationCommands(withApi, now),
  ].map((command) => ({
    ...command,
    flags: [...(command.flags ?? []), ...(takesApproval(command) ? APPROVAL_FLAGS : []), ...CONNECTION_FLAGS],
  }));
  return [...connected, checkReceiptCommand()];
}

/** What changes something that policy may put behind an approval; not the approvals themselves, nor this very machine. */
function takesApproval({ path, changes }: Command): boolean {
  return changes === true && !path.startsWith('approval ') && !path.startsWith('trust ');
}
