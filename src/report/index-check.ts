import { readSerial } from '../ca/certificate/serial.ts';
import { CERTIFICATES, type CertificateRow, readCertificate } from '../ca/index/certificates.ts';
import { type RecordedCertificate, recordedCertificate } from '../ca/index/recorded.ts';
import type { Reader } from '../db/database.ts';
import { PartitionMap } from '../db/partition-map.ts';
import { sameBytes } from '../der/bytes.ts';
import type { RecordedEvent } from '../ledger/entry.ts';
import type { IndexCheck, Report } from '../ledger/index-check.ts';

const ISSUES: ReadonlySet<string> = new Set(['certificate.issued', 'certificate.renewed', 'certificate.replaced']);

/**
 * Says whether the index of certificates is what the log says: each issue has its row with the same facts, each
 * revocation is in its row and among what the lists are made of, and there are no others. Rows past retention are not
 * missed.
 */
export function certificateCheck(reader: Reader): IndexCheck {
  const map = new PartitionMap(reader, CERTIFICATES.name);
  let issued = 0;
  let revoked = 0;
  let newest = 0;
  return {
    name: 'certificate',
    async entries(events, report) {
      for (const event of events) {
        newest = Math.max(newest, event.time);
        if (ISSUES.has(event.type)) issued += await checkIssue(event, map, report);
        else if (event.type === 'certificate.revoked') revoked += await checkRevocation(event, map, report);
      }
    },
    async finish(report) {
      const rows = await countRows(map);
      if (rows.issued !== issued) report('certificate', `has ${rows.issued} rows where the entries ask for ${issued}`);
      if (rows.revoked !== revoked) {
        report('certificate', `has ${rows.revoked} revoked rows where the entries ask for ${revoked}`);
      }
      const unlisted = await countUnlisted(map, newest);
      if (unlisted > 0) report('revoked', `lacks ${unlisted} certificates that are revoked and have not expired`);
    },
  };
}

/** 1 when the row of this issue is to be there, 0 when it is past retention. */
async function checkIssue(event: RecordedEvent, map: PartitionMap, report: Report): Promise<0 | 1> {
  const where = `entry ${event.leaf}`;
  const expected = recordedCertificate(event.body);
  if (typeof expected === 'string') {
    report(where, expected);
    return 0;
  }
  if (!(await isKept(map, expected.issuedAt))) return 0;
  const row = await readCertificate(map, expected.serial);
  if (row === undefined) report(where, 'issues a certificate that has no row');
  else {
    const difference = differenceOf(row, { ...expected, leaf: event.leaf });
    if (difference !== undefined) report(where, `issues a certificate whose row has another ${difference}`);
  }
  return 1;
}

async function checkRevocation({ leaf, body }: RecordedEvent, map: PartitionMap, report: Report): Promise<0 | 1> {
  const serial = new Uint8Array(Buffer.from(String(body['serial']), 'hex'));
  const times = readSerial(serial);
  if (times === undefined || !(await isKept(map, times.issuedAt))) return 0;
  const row = await readCertificate(map, serial);
  // After a restore the log can know revocations of certificates that it has lost.
  if (row === undefined) return 0;
  const same = row.revoked?.at === Date.parse(String(body['at'])) && row.revoked.cause === body['cause'];
  if (!same) report(`entry ${leaf}`, 'revokes a certificate whose row says otherwise');
  return 1;
}

function differenceOf(
  row: CertificateRow,
  expected: RecordedCertificate & { readonly leaf: number },
): string | undefined {
  const { spkiHash, serial: _, ...facts } = expected;
  for (const [name, value] of Object.entries(facts)) {
    if (row[name as keyof CertificateRow] !== value) return name;
  }
  if (row.instance !== expected.instance) return 'instance';
  if (row.shard !== expected.shard) return 'shard';
  return sameBytes(row.spkiHash, spkiHash) ? undefined : 'key';
}

/** Whether rows of this time are still kept. */
async function isKept(map: PartitionMap, at: number): Promise<boolean> {
  return (await map.overlapping(at, at)).length > 0;
}

/** Revoked certificates that had not expired at a time and are not, or not as such, what the lists are made of. */
async function countUnlisted(map: PartitionMap, at: number): Promise<number> {
  const sql =
    'SELECT COUNT(*) AS unlisted FROM {partition} c WHERE c.revoked_at IS NOT NULL AND c.expires_at > ? AND NOT EXISTS ' +
    '(SELECT 1 FROM revoked r WHERE r.serial = c.serial AND r.reason = c.reason AND r.at = c.revoked_at ' +
    'AND r.issuer = c.issuer AND (c.shard IS NULL OR r.shard = c.shard))';
  let unlisted = 0;
  for (const partition of await map.overlapping(0, Number.MAX_SAFE_INTEGER)) {
    unlisted += Number((await map.in(partition, sql, [at]))[0]?.['unlisted'] ?? 0);
  }
  return unlisted;
}

async function countRows(map: PartitionMap): Promise<{ issued: number; revoked: number }> {
  let [issued, revoked] = [0, 0];
  const sql = 'SELECT COUNT(*) AS issued, COUNT(revoked_at) AS revoked FROM {partition}';
  for (const partition of await map.overlapping(0, Number.MAX_SAFE_INTEGER)) {
    const [row] = await map.in(partition, sql, []);
    issued += Number(row?.['issued'] ?? 0);
    revoked += Number(row?.['revoked'] ?? 0);
  }
  return { issued, revoked };
}
