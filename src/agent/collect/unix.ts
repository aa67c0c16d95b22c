import { type BigIntStats, closeSync, fstatSync, openSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { Accounts } from './accounts.ts';
import { BinaryDigests } from './binary.ts';
import { type Collector, type Seen, type Subject, unlessOfTheProcess } from './collector.ts';

/**
 * What Linux says of a process: user and groups as they were when it connected, control groups, the program that it runs,
 * and its SHA-256. Of an interpreter that is the interpreter's, not the script's.
 *
 * `unix:path` is there only where this machine has that very file under that path: whoever makes a mount namespace of their
 * own can have anything under any name there.
 */
export function unixCollector(): Collector {
  const [users, groups] = [new Accounts('/etc/passwd'), new Accounts('/etc/group')];
  const digests = new BinaryDigests();
  return {
    name: 'unix',
    async collect(subject, before) {
      const { pid, uid, gid } = subject;
      const notes: string[] = [];
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
      const program = await programOf(subject, digests, before?.program);
      return { ...program, facts: { ...facts, ...program.facts }, notes: [...notes, ...program.notes] };
    },
  };
}

/** `known`: the path that the program was seen under. Replacing the file on disk changes nothing about who runs already. */
async function programOf({ pid, uid }: Subject, digests: BinaryDigests, known: Seen['program']): Promise<Seen> {
  let file: number;
  try {
    file = openSync(`/proc/${pid}/exe`, 'r');
  } catch (error) {
    unlessOfTheProcess(error);
    return { facts: {}, notes: [`unix:path and unix:sha256: the program cannot be read (${codeOf(error)})`] };
  }
  try {
    const [state, named] = [fstatSync(file, { bigint: true }), readlinkSync(`/proc/${pid}/exe`)];
    // A number that another file gets when this one is gone is born at another moment.
    const own = `${state.dev}.${state.ino}.${state.birthtimeNs}`;
    const path = known?.file === own ? known.path : isThere(named, state) ? named : undefined;
    const sha256 = await digests.of(file, state, uid);
    const facts = {
      ...(sha256 === undefined ? {} : { 'unix:sha256': [sha256] }),
      ...(path === undefined ? {} : { 'unix:path': [path] }),
    };
    const notes = [
      ...(sha256 === undefined ? ['unix:sha256: the program is too large to be read'] : []),
      ...(path === undefined
        ? ['unix:path: this machine has another file, or none, under the path that the process sees']
        : []),
    ];
    return { facts, notes, ...(path === undefined ? {} : { program: { file: own, path } }) };
  } catch (error) {
    unlessOfTheProcess(error);
    return { facts: {}, notes: [`unix:sha256: the program could not be read (${codeOf(error)})`] };
  } finally {
    closeSync(file);
  }
}

/** Whether this machine (as its first process sees it, or else as this one does) has that file there. */
function isThere(path: string, { dev, ino }: BigIntStats): boolean {
  if (path.length > 1024) return false;
  return [`/proc/1/root${path}`, path].some((at) => {
    try {
      const found = statSync(at, { bigint: true });
      return found.dev === dev && found.ino === ino;
    } catch {
      return false;
    }
  });
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
