import { pino } from 'pino';
import type { Log, LogFields } from '../base/log.ts';

/** Octets that wait at most. */
const LONGEST_BACKLOG = 1024 * 1024;

/**
 * JSON lines on stderr. Written at once: a line about a crash must not die with the process. `thread` tells the lines of
 * one process apart. Where nothing can be written, as in a pipe that
 * nobody reads, the process goes on without waiting: some lines are kept until there is room again.
 */
export function openLog(level: 'debug' | 'info' | 'warn' | 'error', thread: string): Log {
  const destination = pino.destination({ fd: 2, sync: true, maxLength: LONGEST_BACKLOG, retryEAGAIN: () => false });
  // Nobody could be told.
  destination.on('error', () => undefined);
  const sink = pino(
    {
      level,
      base: { thread },
      formatters: { level: (label) => ({ level: label }) },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
    },
    destination,
  );
  const write =
    (kind: 'debug' | 'info' | 'warn' | 'error') =>
    (event: string, fields: LogFields = {}): void =>
      sink[kind](fields, event);
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
}
