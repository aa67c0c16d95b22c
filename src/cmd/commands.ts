import { systemClock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { Command } from '../cli/command.ts';
import { clientCommands } from '../cli/commands.ts';
import { completionCommand } from '../cli/completion.ts';
import { asOperator } from '../cli/connection.ts';
import { authorityCommands } from './commands/authority.ts';
import { backupCommands } from './commands/backup.ts';
import { daemonCommands } from './commands/daemon.ts';
import { doctorCommand } from './commands/doctor.ts';
import { domainCreateCommand, domainRotateCommand } from './commands/domain.ts';
import { federationChangeCommands } from './commands/federation.ts';
import { groupCommands } from './commands/group.ts';
import { initCommand } from './commands/install.ts';
import { jwtKeyCommand } from './commands/jwt-key.ts';
import { ledgerCommands } from './commands/ledger.ts';
import { operatorCommands } from './commands/operator.ts';
import { passphraseCommand } from './commands/passphrase.ts';
import { releaseHere } from './commands/release.ts';
import { ruleCommands } from './commands/rules.ts';
import { startCommand } from './commands/start.ts';
import { statusCommand } from './commands/status.ts';
import { stopHere, stopsSomething } from './commands/stop.ts';
import { sayingDiskErrors } from './disk-error.ts';
import { openLog } from './log.ts';

/** Every command there is, in the order of help and reference. */
export function commandTable(): readonly Command[] {
  const log = (): Log => openLog('warn', 'main');
  const withApi = asOperator(systemClock);
  const commands = [
    startCommand(),
    initCommand(),
    statusCommand(),
    ...clientCommands().map((command) => {
      if (command.path === 'release') return releaseHere(command, log);
      return stopsSomething(command) ? stopHere(command, log) : command;
    }),
    ...daemonCommands(withApi),
    ...operatorCommands(log, withApi),
    ...groupCommands(log, withApi),
    ...federationChangeCommands(log, withApi),
    domainCreateCommand(log, withApi, systemClock.now),
    domainRotateCommand(log, withApi, systemClock.now),
    ...ruleCommands(log, withApi),
    ...authorityCommands(log, withApi),
    jwtKeyCommand(log, withApi),
    ...ledgerCommands(log),
    passphraseCommand(log),
    ...backupCommands(log),
    doctorCommand(log),
  ].map(sayingDiskErrors);
  commands.push(completionCommand(() => commands));
  return commands;
}
