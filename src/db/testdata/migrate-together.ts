// Waits until told, migrates the database named by the argument, and prints which migrations this process applied.
import { once } from 'node:events';
import { openPlace, type Place } from '../../../test/engines.ts';
import { migrate } from '../migrate.ts';

const place = JSON.parse(process.argv[2]!) as Place;
process.send?.('ready');
await once(process, 'message');
const database = await openPlace(place);
const applied = await migrate(database);
process.send?.(applied);
await database.close();
process.disconnect?.();
