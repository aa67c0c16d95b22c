import type { MetricDefinition } from './metrics.ts';

/** A value of the whole process, told when it is asked for. */
export interface Reading {
  readonly definition: MetricDefinition;
  readonly value: number;
}

/** What the operating system and the engine know of this process, under the names that dashboards expect. */
export function processReadings(): Reading[] {
  const { heapUsed, external } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  const bytes = (name: string, help: string, value: number): Reading => ({
    definition: { name, kind: 'gauge', unit: 'bytes', help },
    value,
  });
  return [
    bytes('process_resident_memory_bytes', 'Resident memory of the process.', process.memoryUsage.rss()),
    bytes('writ_thread_heap_bytes', 'JavaScript heap in use by the thread that answers.', heapUsed),
    bytes('writ_thread_external_bytes', 'Memory outside the heap held by the thread that answers.', external),
    {
      definition: { name: 'process_cpu_seconds', kind: 'counter', unit: 'seconds', help: 'Processor time used.' },
      value: (user + system) / 1e6,
    },
    {
      definition: { name: 'process_uptime_seconds', kind: 'gauge', unit: 'seconds', help: 'Time since the start.' },
      value: process.uptime(),
    },
  ];
}
