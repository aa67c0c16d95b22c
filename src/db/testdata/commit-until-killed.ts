// Commits one row after the other into `item` and names each on standard output once its commit was acknowledged.
import { writeSync } from 'node:fs';
import { openPlace, type Place } from '../../../test/engines.ts';

const database = await openPlace(JSON.parse(process.argv[2]!) as Place);
for (let id = Number(process.argv[3]); ; id++) {
  await database.transaction((tx) => tx.run('INSERT INTO item (id, size) VALUES (?, ?)', [id, id]));
  writeSync(1, `${id}\n`);
}
