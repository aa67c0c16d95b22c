/** What asks a program that serves to stop. */
const STOPPING = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** One Ctrl-C arrives several times where a terminal, npm and the launcher all pass it on; so does what systemd sends. */
const ONE_CTRL_C_MS = 1000;

/**
 * Calls `stop` at the first signal. The handlers stay until what it gives is called, when all is cleaned up: without one, the
 * same signal passed on once more would end the process in the midst of it. Another Ctrl-C ends it at once.
 */
export function onceAskedToStop(stop: () => void): () => void {
  let asked: number | undefined;
  const handlers = STOPPING.map((signal) => {
    const handler = (): void => {
      if (asked === undefined) {
        asked = performance.now();
        stop();
      } else if (signal === 'SIGINT' && performance.now() - asked > ONE_CTRL_C_MS) process.exit(130);
    };
    process.on(signal, handler);
    return [signal, handler] as const;
  });
  return () => {
    for (const [signal, handler] of handlers) process.off(signal, handler);
  };
}
