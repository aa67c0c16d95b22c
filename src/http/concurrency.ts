/** Bounds how many requests are in work at once, in all and for each caller. */
export interface Concurrency {
  /** Counts one more, unless that would pass a bound; then says which. Each `enter` that gave `ok` needs one `leave`. */
  enter(caller: string): 'ok' | 'caller' | 'all';
  leave(caller: string): void;
  /** Requests in work. */
  count(): number;
}

export function createConcurrency(options: { readonly perCaller: number; readonly all: number }): Concurrency {
  const callers = new Map<string, number>();
  let total = 0;
  return {
    enter(caller) {
      if (total >= options.all) return 'all';
      const held = callers.get(caller) ?? 0;
      if (held >= options.perCaller) return 'caller';
      callers.set(caller, held + 1);
      total += 1;
      return 'ok';
    },
    leave(caller) {
      const held = callers.get(caller) ?? 0;
      if (held > 1) callers.set(caller, held - 1);
      else callers.delete(caller);
      total -= 1;
    },
    count: () => total,
  };
}
