import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Machine, StoreName } from './place.ts';

/** One root that was put into one place. */
export interface Put {
  readonly store: StoreName;
  readonly where: string;
  readonly fingerprint: string;
  /** PEM: what is taken out is just this. */
  readonly root: string;
}

/** The file that says what was put where by this user. */
function fileOf({ home }: Machine): string {
  return join(home, '.local/state/writ/trust.json');
}

export function readRecord(machine: Machine): readonly Put[] {
  const file = fileOf(machine);
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Put[]) : [];
}

export function writeRecord(machine: Machine, puts: readonly Put[]): void {
  const file = fileOf(machine);
  if (puts.length === 0) {
    rmSync(file, { force: true });
    return;
  }
  mkdirSync(dirname(file), { recursive: true });
  const fresh = `${file}.new`;
  writeFileSync(fresh, `${JSON.stringify(puts, undefined, 2)}\n`, { mode: 0o600 });
  renameSync(fresh, file);
}
