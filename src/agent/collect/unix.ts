import { readFileSync, readlinkSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { identityOf, type ProgramFiles } from '../process/program-files.ts';
import { Accounts } from './accounts.ts';
import { BinaryDigests, type Program } from './binary.ts';
import { type Collector, type Seen, type Subject, unlessOfTheProcess } from './collector.ts';

/**
 * What Linux says of a process: user and groups as they were when it connected, control groups, the program that it runs,
 * and its SHA-256. Of an interpreter that is the interpreter's, not the script's.
 *
 * `unix:path` is there only where this machine has that very file under that path: whoever makes a mount namespace of their
 * own can have anything under any name there.
 */
export function unixCollector(files: ProgramFiles): Collector {
  const [users, groups] = [new Accounts('/etc/passwd'), new Accounts('/etc/group')];
  const digests = new BinaryDigests(files);
  return {
    name: 'unix',
    async collect(subject, before) {
      const { pid, uid, gid } = subject;
      const facts: Record<string, readonly string[]> = {
        'unix:uid': [String(uid)],
        'unix:gid': [String(gid)],
        ...optional('unix:user', users.nameOf(uid)),
        ...optional('unix:group', groups.nameOf(gid)),
      };
      const cgroups = [...new Set(subject.cgroups.values())].filter((path) => path.length <= 1024);
      if (cgroups.length > 0) facts['unix:cgroup'] = cgroups.slice(0, 64);
      const supplementary = groupsOf(pid);
      if (supplementary.length > 0) facts['unix:supplementary_gid'] = supplementary;
      const program = await programOf(subject, files, digests, before?.program);
      return { ...program, facts: { ...facts, ...program.facts } };
    },
  };
}

/** `known`: the path that the program was seen under. Replacing the file on disk changes nothing about who runs already. */
async function programOf(
  { pid, uid }: Subject,
  files: ProgramFiles,
  digests: BinaryDigests,
  known: Seen['program'],
): Promise<Seen> {
  let program: Program;
  let path: string | undefined;
  try {
    const named = readlinkSync(`/proc/${pid}/exe`);
    const stats = await files.ask(named, () => stat(`/proc/${pid}/exe`, { bigint: true }));
    program = { pid, uid, named, stats };
    path = (known?.file === identityOf(stats) ? known.path : undefined) ?? (await pathOf(program, files));
  } catch (error) {
    unlessOfTheProcess(error);
    return { facts: {}, notes: [`unix:path and unix:sha256: the program cannot be seen (${codeOf(error)})`] };
  }
  const seen = await digestOf(program, digests);
  const notes = path === undefined ? [...seen.notes, NO_PATH] : seen.notes;
  return {
    facts: { ...seen.facts, ...optional('unix:path', path) },
    notes,
    program: { file: identityOf(program.stats), path },
  };
}

const NO_PATH = 'unix:path: this machine has another file, or none, under the path that the process sees';

async function digestOf(program: Program, digests: BinaryDigests): Promise<Seen> {
  try {
    const sha256 = await digests.of(program);
    if (sha256 !== undefined) return { facts: { 'unix:sha256': [sha256] }, notes: [] };
    return { facts: {}, notes: ['unix:sha256: the program is too large to be read'] };
  } catch (error) {
    unlessOfTheProcess(error);
    return { facts: {}, notes: [`unix:sha256: the program could not be read (${codeOf(error)})`] };
  }
}

/** What the process calls its program, if this machine (as this process or else its first one sees it) has that file there. */
async function pathOf({ pid, named, stats }: Program, files: ProgramFiles): Promise<string | undefined> {
  if (named.length > 1024) return undefined;
  for (const path of [named, `/proc/1/root${named}`]) {
    const found = await files.ask(named, () => stat(path, { bigint: true }).catch(() => undefined));
    if (found?.dev === stats.dev && found.ino === stats.ino) return named;
  }
  if (readlinkSync(`/proc/${pid}/exe`) !== named) throw new Error('it runs another program by now');
  return undefined;
}

function groupsOf(pid: number): readonly string[] {
  try {
    const [, list = ''] = /^Groups:[ \t]*(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1')) ?? [];
    return list
      .split(' ')
      .filter((gid) => gid !== '')
      .slice(0, 64);
  } catch (error) {
    unlessOfTheProcess(error);
    return [];
  }
}

function optional(name: string, value: string | undefined): Readonly<Record<string, readonly string[]>> {
  return value === undefined ? {} : { [name]: [value] };
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? (error as Error).message;
}
