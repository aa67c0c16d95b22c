import type { Caller } from '../base/access.ts';
import { demand } from '../base/demand.ts';
import type { Page, PageRequest } from '../db/cursor.ts';
import { findStop } from './confirm-stop.ts';
import type { CordParts } from './parts.ts';
import { listStops, type StopRecord, type StopState } from './stop-store.ts';

const INSTALLATION = { type: 'Installation', id: 'writ' } as const;

/** Stops, newest first. Throws `denied`. */
export async function showStops(
  caller: Caller,
  filter: { readonly state?: StopState },
  request: PageRequest,
  { reader, authorize }: CordParts,
): Promise<Page<StopRecord>> {
  demand(authorize, { caller, action: 'stop.read', resource: INSTALLATION });
  return listStops(reader, filter, request);
}

/** One stop. Throws `denied` and `not_found`. */
export async function showStop(caller: Caller, id: string, parts: CordParts): Promise<StopRecord> {
  demand(parts.authorize, { caller, action: 'stop.read', resource: INSTALLATION });
  return findStop(caller, id, parts);
}
