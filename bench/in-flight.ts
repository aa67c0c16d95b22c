/** Runs `work` for 0 … count − 1, at most `width` at a time. */
export async function inFlight(count: number, work: (index: number) => Promise<void>, width = 256): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: Math.min(width, count) }, lane));
}
