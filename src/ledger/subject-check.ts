import type { Reader } from '../db/database.ts';
import { isIndexedBySubject } from './event.ts';
import type { IndexCheck } from './index-check.ts';

/** `ledger_subject` has a row for each indexed subject of each entry, and no other. */
export function subjectCheck(reader: Reader): IndexCheck {
  let expected = 0;
  return {
    name: 'ledger_subject',
    async entries(events, report) {
      for (const { leaf, type, subjects } of events) {
        if (!isIndexedBySubject(type)) continue;
        for (const subject of new Set(subjects)) {
          expected++;
          const row = await reader.get('SELECT 1 AS found FROM ledger_subject WHERE subject = ? AND leaf = ?', [
            subject,
            leaf,
          ]);
          if (row === undefined) report(`entry ${leaf}`, 'has a subject without its row in ledger_subject');
        }
      }
    },
    async finish(report) {
      const row = await reader.get('SELECT COUNT(*) AS number_of_rows FROM ledger_subject');
      const stored = Number(row!['number_of_rows']);
      if (stored !== expected) report('ledger_subject', `has ${stored} rows where the entries ask for ${expected}`);
    },
  };
}
