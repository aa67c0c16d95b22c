import { isWritError, WritError } from '../base/error.ts';
import type { Command } from '../cli/command.ts';

const SPACE = 'Free space on it and run the command again; it goes on where it stopped.';
const OWNER = 'Run as the user that owns it, or change its owner.';

/** What the operating system says of a disk or directory, and what to do. */
const FAULTS: Readonly<Record<string, readonly [fault: string, remedy: string]>> = {
  ENOSPC: ['The disk is full', SPACE],
  EDQUOT: ['The disk quota is used up', SPACE],
  EROFS: ['The disk is read-only', 'Mount it writable, or name a directory elsewhere.'],
  EIO: ['The disk reported an error', 'Check the disk and the system log.'],
  EACCES: ['This user may not use a file or directory', OWNER],
  EPERM: ['This user may not change a file or directory', OWNER],
  ENOTDIR: ['A part of the path is a file and no directory', 'Check the path.'],
  EMFILE: ['Too many files are open', 'Raise the limit of open files (ulimit -n).'],
};

/** What a system error on a file means; any other error as it is. */
function diskError(error: unknown): unknown {
  if (isWritError(error) || !(error instanceof Error)) return error;
  const { code = '', path } = error as NodeJS.ErrnoException;
  const known = FAULTS[code];
  if (known === undefined) return error;
  const [fault, remedy] = known;
  return new WritError('storage_failed', fault, {
    ...(path === undefined ? {} : { field: path }),
    remedy,
    cause: error,
  });
}

/** The command, saying so when a disk fails it. */
export function sayingDiskErrors(command: Command): Command {
  return {
    ...command,
    async run(input, terminal) {
      try {
        return await command.run(input, terminal);
      } catch (error) {
        throw diskError(error);
      }
    },
  };
}
