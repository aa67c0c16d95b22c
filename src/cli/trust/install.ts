import { decodePem } from '../../der/pem.ts';
import { type Machine, type Place, type Root, rootOf, type StoreName } from './place.ts';
import { placesOf } from './places.ts';
import { type Put, readRecord, writeRecord } from './record.ts';

/** What was done, or would be, about one root and one place. */
export interface Outcome {
  readonly store: StoreName;
  readonly where: string;
  readonly fingerprint: string;
  /**
   * `there`: it was there before, put in by somebody or something else, and is nobody's to take out. `gone`: it is not there
   * any more.
   */
  readonly state: 'put' | 'there' | 'taken' | 'gone' | 'failed';
  /** Why it failed, or what a person has to do besides. */
  readonly note?: string;
}

interface Options {
  readonly stores: readonly StoreName[];
  readonly dryRun: boolean;
}

/**
 * Puts roots into all places of some stores. What is put in is noted before, place by place, so that it is taken out again
 * also when something goes wrong in between. A place that fails does not keep the others from it.
 */
export async function installRoots(
  roots: readonly Root[],
  { stores, dryRun }: Options,
  machine: Machine,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const place of await placesOf(stores, machine)) {
    for (const root of roots) outcomes.push(await outcomeOf(place, root, () => putOne(place, root, dryRun, machine)));
  }
  return outcomes;
}

async function putOne(place: Place, root: Root, dryRun: boolean, machine: Machine): Promise<Outcome['state']> {
  const record = readRecord(machine);
  const ours = record.some((put) => isOf(put, place, root));
  if (await place.has(root)) return ours ? 'put' : 'there';
  if (dryRun) return 'put';
  const { store, where } = place;
  if (!ours) writeRecord(machine, [...record, { store, where, fingerprint: root.fingerprint, root: root.pem }]);
  try {
    await place.put(root);
  } catch (error) {
    // Half a change is a change: it stays on record where it can be seen.
    if (!ours && !(await place.has(root).catch(() => true))) writeRecord(machine, record);
    throw error;
  }
  return 'put';
}

/** Takes out of some stores what was put in, all of it or one root (SHA-256 in hex). */
export async function uninstallRoots(
  { stores, dryRun, fingerprint }: Options & { readonly fingerprint?: string },
  machine: Machine,
): Promise<Outcome[]> {
  const places = await placesOf(stores, machine);
  const outcomes: Outcome[] = [];
  for (const put of readRecord(machine)) {
    if (!stores.includes(put.store) || (fingerprint !== undefined && put.fingerprint !== fingerprint)) continue;
    const root = rootOf(decodePem(put.root, 'CERTIFICATE'));
    const place = places.find((one) => isOf(put, one, root));
    outcomes.push(
      place === undefined
        ? { ...told(put), state: forget(put, dryRun, machine) }
        : await outcomeOf(place, root, async () => {
            if (!(await place.has(root))) return forget(put, dryRun, machine);
            if (!dryRun) await place.take(root);
            if (!dryRun) forget(put, dryRun, machine);
            return 'taken';
          }),
    );
  }
  return outcomes;
}

function forget(gone: Put, dryRun: boolean, machine: Machine): 'gone' {
  const left = readRecord(machine).filter(
    ({ where, fingerprint }) => where !== gone.where || fingerprint !== gone.fingerprint,
  );
  if (!dryRun) writeRecord(machine, left);
  return 'gone';
}

async function outcomeOf(place: Place, root: Root, act: () => Promise<Outcome['state']>): Promise<Outcome> {
  const about = { store: place.store, where: place.where, fingerprint: root.fingerprint };
  try {
    const state = await act();
    return { ...about, state, ...(state === 'put' && place.hint !== undefined ? { note: place.hint } : {}) };
  } catch (error) {
    return { ...about, state: 'failed', note: whyOf(error as NodeJS.ErrnoException) };
  }
}

function whyOf(error: NodeJS.ErrnoException & { readonly stderr?: string }): string {
  const { code, path, syscall = '' } = error;
  if (code === 'ENOENT' && syscall.startsWith('spawn')) {
    const tool = path ?? 'a tool';
    return tool === 'certutil' ? 'certutil is not there: install libnss3-tools or nss-tools' : `${tool} is not there`;
  }
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS')
    return 'it may not be written: run the command as root';
  return error.message.split('\n')[0]!;
}

function isOf(put: Put, { store, where }: Place, { fingerprint }: Root): boolean {
  return put.store === store && put.where === where && put.fingerprint === fingerprint;
}

function told({ store, where, fingerprint }: Put): Pick<Outcome, 'store' | 'where' | 'fingerprint'> {
  return { store, where, fingerprint };
}
