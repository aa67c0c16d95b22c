import type { Caller } from '../../base/access.ts';
import { demand } from '../../base/demand.ts';
import { decodeEntry } from '../../ledger/entry.ts';
import { readHead } from '../../ledger/head.ts';
import { eventsOf, readEvent } from '../../ledger/history.ts';
import { receipt } from '../../ledger/receipt.ts';
import { ledgerResource } from '../../ledger/serve.ts';
import { readEntries } from '../../ledger/store.ts';
import { ledgerDocumentOperations } from '../../rest/ledger-documents.ts';
import { ledgerEntryOperations } from '../../rest/ledger-entries.ts';
import type { Operation } from '../../rest/operation.ts';
import { verifierKeys } from '../ledger-keys.ts';
import type { ThreadParts } from './thread-parts.ts';

/** The ledger's documents as C2SP lays them out, and its entries one by one. */
export function ledgerOperations({ reader, policy }: ThreadParts): Operation[] {
  const demandRead = (caller: Caller): void => {
    demand(policy.authorize, { caller, action: 'ledger.read', resource: { type: 'Installation', id: 'writ' } });
  };
  return [
    ...ledgerDocumentOperations({
      resource: (path) => ledgerResource(reader, path),
      keys: () => verifierKeys(reader),
      demandEntries: demandRead,
    }),
    ...ledgerEntryOperations({
      demandRead,
      eventsOf: (query) => eventsOf(reader, query),
      async eventsFrom(index, limit) {
        const size = (await readHead(reader))?.size ?? 0;
        const entries = await readEntries(reader, index, Math.max(index, Math.min(size, index + limit)));
        return entries.map((entry, i) => decodeEntry(index + i, entry));
      },
      event: (index) => readEvent(reader, index),
      receipt: (index) => receipt(reader, index),
    }),
  ];
}
