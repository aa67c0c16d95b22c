/** The clock of the real program, in the hand of a test. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { StartOptions } from './authority.ts';

export interface TestClock {
  /** With these the program starts under it. */
  readonly options: StartOptions;
  /** Milliseconds beside the real time. */
  set(ms: number): Promise<void>;
}

export function testClock(scratch: string): TestClock {
  const file = join(scratch, 'clock');
  writeFileSync(file, '0');
  const hook = new URL('./shifted-clock.ts', import.meta.url).href;
  return {
    options: { nodeFlags: ['--import', hook], environment: { WRIT_TEST_CLOCK: file } },
    async set(ms) {
      writeFileSync(file, String(ms));
      // The epoch is confirmed by this clock, too: until it is, the standing of nobody is known.
      await pause(500);
    },
  };
}
