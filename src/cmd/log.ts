import { pino } from 'pino';
import type { Log, LogFields } from '../base/log.ts';

/**
 * JSON lines on stderr. Written at once: a line about a crash must not die with the process. `thread` tells the lines of
 * one process apart.
 */
export function openLog(level: 'debug' | 'info' | 'warn' | 'error', thread: string): Log {
  const sink = pino(
    {
      level,
      base: { thread },
      formatters: { level: (label) => ({ level: label }) },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
    },
    pino.destination({ fd: 2, sync: true }),
  );
  const write =
    (kind: 'debug' | 'info' | 'warn' | 'error') =>
    (event: string, fields: LogFields = {}): void =>
      sink[kind](fields, event);
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
}
