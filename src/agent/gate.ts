/** Lets so many run at once; the others wait in the order in which they came. */
export function createGate(width: number): <T>(run: () => Promise<T>) => Promise<T> {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (run) => {
    if (running >= width) await new Promise<void>((enter) => waiting.push(enter));
    else running += 1;
    try {
      return await run();
    } finally {
      const next = waiting.shift();
      // Its place goes to the next one, without being free in between.
      if (next === undefined) running -= 1;
      else next();
    }
  };
}
