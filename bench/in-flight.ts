/** Runs `work` for 0 … count − 1, at most `width` at a time; ends early once one of them gives `false`. */
export async function inFlight(count: number, work: (index: number) => Promise<unknown>, width = 256): Promise<void> {
  let next = 0;
  let more = true;
  const lane = async (): Promise<void> => {
    while (more && next < count) more = (await work(next++)) !== false && more;
  };
  await Promise.all(Array.from({ length: Math.min(width, count) }, lane));
}
