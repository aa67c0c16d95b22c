/**
 * Loaded with `--import` into the real program: shifts its clock, in all of its threads, by the milliseconds that stand in
 * the file which `WRIT_TEST_CLOCK` names. The file may change while the program runs.
 */
import { readFileSync } from 'node:fs';

const LOOK_EVERY_MS = 10;

const file = process.env['WRIT_TEST_CLOCK'];
if (file !== undefined) {
  const real = Date.now;
  let shift = 0;
  let lookedAt = Number.NEGATIVE_INFINITY;
  Date.now = () => {
    const now = performance.now();
    if (now - lookedAt > LOOK_EVERY_MS) {
      lookedAt = now;
      shift = Number(readFileSync(file, 'utf8'));
    }
    return real() + shift;
  };
}
