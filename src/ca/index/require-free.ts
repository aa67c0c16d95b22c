import type { Batch } from '../../db/batch.ts';
import { inPartition } from '../../db/partition.ts';
import type { PartitionMap } from '../../db/partition-map.ts';
import { formatSerial, readSerial } from '../certificate/serial.ts';

const FREE =
  "SELECT 1 FROM hold WHERE (kind = 'certificate' AND target = ?) OR " +
  "(kind = 'authority' AND target = (SELECT issuer FROM {partition} WHERE serial = ?))";

/** The commit looks again: neither the certificate, which was read before through this map, nor its issuer is held. */
export function requireFree(map: PartitionMap, batch: Batch, serial: Uint8Array): void {
  const partition = map.known(readSerial(serial)?.issuedAt ?? 0);
  // One that is not known has been refused above.
  if (partition === undefined) return;
  batch.checks.push({
    sql: inPartition(FREE, partition),
    params: [formatSerial(serial), serial],
    want: 'absent',
    refusal: 'inactive',
    reason: 'The certificate, or the authority that issued it, is quarantined.',
    standing: true,
  });
}
