import type { Caller } from '../base/access.ts';
import { demand } from '../base/demand.ts';
import { WritError } from '../base/error.ts';
import { readOperator } from '../registry/operator.ts';
import { NOBODY, readPersonOf } from '../registry/person.ts';
import type { CordParts, StopOptions } from './parts.ts';
import { firstStop } from './quarantine.ts';
import { askFor, goOn, makeForEver } from './stop.ts';
import { readStop, type StopRecord } from './stop-store.ts';

const INSTALLATION = { type: 'Installation', id: 'writ' } as const;

/**
 * Confirms that a quarantine is to be for ever, as another person than the one who asked for that. Where no person asked,
 * this one does, and the next confirms. What is for ever already is answered with it. Throws `denied`, `not_found`, and `conflict` where nobody asked or it was released.
 */
export async function confirmStop(
  caller: Caller,
  id: string,
  parts: CordParts,
  options: StopOptions = {},
): Promise<StopRecord> {
  await parts.refresh();
  const stop = await findStop(caller, id, parts);
  demand(parts.authorize, {
    caller,
    action: 'stop.confirm',
    resource: INSTALLATION,
    context: { kind: stop.kind, cause: stop.cause, askedBy: await askedBy(caller, stop, parts) },
  });
  const first = await firstStop(parts, options);
  if (first !== undefined) return goOn(first, parts);
  if (stop.state === 'revoking' || stop.state === 'revoked') return goOn(stop, parts);
  if (stop.state === 'released' || stop.revocationBy === undefined) {
    throw new WritError('conflict', stop.state === 'released' ? 'The stop was released.' : 'Nobody asked for that.', {
      remedy: 'Stop it for ever with "writ stop"; then another person confirms that.',
    });
  }
  // This person asks, so that another confirms it.
  if (!(await isPersons(stop.revocationBy, parts))) return goOn(await askFor(stop, caller, stop.cause, parts), parts);
  if (stop.kind === 'authority') {
    demand(parts.authorize, { caller, action: 'authority.revoke', resource: INSTALLATION });
  }
  return goOn((await makeForEver(stop, caller, { cause: stop.cause }, parts)) ?? stop, parts);
}

/** Whether a person asked. What an instance or a program asked for may be one person's doing as well. */
async function isPersons(asker: string, { reader }: CordParts): Promise<boolean> {
  const name = operatorOf(asker);
  if (name === undefined) return asker.startsWith('system:');
  return (await readPersonOf(reader, name)) !== NOBODY;
}

function operatorOf(caller: string): string | undefined {
  return /^spiffe:\/\/[^/]+\/operator\/([^/]+)$/.exec(caller)?.[1];
}

/** Who asked, as the caller where it is the same person by whichever credential. */
async function askedBy(
  caller: Caller,
  { revocationBy = '' }: StopRecord,
  { reader, clock }: CordParts,
): Promise<string> {
  // A program is nobody, so it is not another person either.
  if (caller.operator !== undefined && (await readPersonOf(reader, caller.operator)) === NOBODY) return caller.id;
  const asker = operatorOf(revocationBy);
  if (asker === undefined || caller.operator === undefined) return revocationBy;
  const [one, other] = [
    await readOperator(reader, asker, clock.now()),
    await readOperator(reader, caller.operator, clock.now()),
  ];
  return one !== undefined && one.person === other?.person ? caller.id : revocationBy;
}

/** Reads a stop for somebody who wants to do something with it. */
export async function findStop(caller: Caller, id: string, { reader, authorize }: CordParts): Promise<StopRecord> {
  const stop = await readStop(reader, id);
  if (stop !== undefined) return stop;
  demand(authorize, { caller, action: 'stop.read', resource: INSTALLATION });
  throw new WritError('not_found', 'There is no stop of that id.', {
    field: '/id',
    remedy: 'List them with "writ stop list".',
  });
}
