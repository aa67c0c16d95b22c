import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type MetricDefinition, Metrics, metricsMemory } from './metrics.ts';
import { processReadings } from './process-metrics.ts';

const DEFINITIONS: MetricDefinition[] = [
  {
    name: 'writ_requests',
    kind: 'counter',
    help: 'Requests answered.',
    labels: { status: ['2xx', '5xx'], route: ['GET /a'] },
  },
  { name: 'writ_memory_bytes', kind: 'gauge', help: 'Resident memory.', unit: 'bytes' },
  { name: 'writ_wait_seconds', kind: 'histogram', help: 'Time to answer.', unit: 'seconds', buckets: [0.01, 0.1] },
];

test('threads count apart and are told together', () => {
  const memory = metricsMemory(DEFINITIONS, 2);
  const threads = [0, 1].map((thread) => new Metrics(DEFINITIONS, memory, thread));
  for (const metrics of threads) {
    metrics.add(metrics.series('writ_requests', { route: 'GET /a', status: '2xx' }), 2);
    metrics.set(metrics.series('writ_memory_bytes'), 100);
  }
  const wait = threads[1]!.series('writ_wait_seconds');
  for (const value of [0.005, 0.01, 0.05, 7]) threads[1]!.observe(wait, value);
  assert.equal(
    threads[0]!.text(),
    `# TYPE writ_requests counter
# HELP writ_requests Requests answered.
writ_requests_total{route="GET /a",status="2xx"} 4
writ_requests_total{route="GET /a",status="5xx"} 0
# TYPE writ_memory_bytes gauge
# UNIT writ_memory_bytes bytes
# HELP writ_memory_bytes Resident memory.
writ_memory_bytes 200
# TYPE writ_wait_seconds histogram
# UNIT writ_wait_seconds seconds
# HELP writ_wait_seconds Time to answer.
writ_wait_seconds_bucket{le="0.01"} 2
writ_wait_seconds_bucket{le="0.1"} 3
writ_wait_seconds_bucket{le="+Inf"} 4
writ_wait_seconds_count 4
writ_wait_seconds_sum 7.065
# EOF
`,
  );
});

test('what was not declared is a defect', () => {
  const metrics = new Metrics(DEFINITIONS, metricsMemory(DEFINITIONS, 1), 0);
  assert.throws(() => metrics.series('writ_other'), TypeError);
  assert.throws(() => metrics.series('writ_requests', { route: 'GET /b', status: '2xx' }), TypeError);
  assert.throws(() => metricsMemory([...DEFINITIONS, DEFINITIONS[0]!], 1), TypeError);
  assert.throws(() => metricsMemory([{ name: 'writ_x', kind: 'gauge', help: '', unit: 'seconds' }], 1), TypeError);
});

test('the process tells of itself, once whatever the number of threads', () => {
  const metrics = new Metrics(DEFINITIONS, metricsMemory(DEFINITIONS, 2), 0);
  const text = metrics.text(processReadings());
  assert.match(text, /\n# TYPE process_cpu_seconds counter\n# UNIT process_cpu_seconds seconds\n/);
  assert.match(text, /\nprocess_cpu_seconds_total [\d.]+\n/);
  const [, bytes] = /\nprocess_resident_memory_bytes (\d+)\n/.exec(text)!;
  assert.ok(Number(bytes) > 1_000_000);
  assert.ok(text.endsWith('# EOF\n') && text.split('# EOF').length === 2);
});
