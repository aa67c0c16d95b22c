// Commits one row after the other into `item` and names each on standard output once its commit was acknowledged, then
// leaves others a moment: nobody queues for SQLite's lock, and who commits without a pause can keep it from them for long.
// Arguments: the place, the first id, and after how many rows to end by itself (default: never).
import { writeSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { openPlace, type Place } from '../../../test/engines.ts';

const database = await openPlace(JSON.parse(process.argv[2]!) as Place);
const first = Number(process.argv[3]);
const count = Number(process.argv[4] ?? Number.POSITIVE_INFINITY);
for (let id = first; id < first + count; id++) {
  await database.transaction((tx) => tx.run('INSERT INTO item (id, size) VALUES (?, ?)', [id, id]));
  writeSync(1, `${id}\n`);
  await pause(1);
}
await database.close();
