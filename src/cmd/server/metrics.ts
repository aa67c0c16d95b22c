import type { MetricDefinition, Metrics, Series } from '../../http/metrics.ts';
import type { Route } from '../../http/route.ts';

/** Parts of the interface, by the first word of a route's path; everything else is `other`. */
const AREAS = [
  'enrol',
  'certificates',
  'agents',
  'services',
  'instances',
  'tokens',
  'owners',
  'authorities',
  'profiles',
  'policy',
  'operators',
  'ledger',
  'trust',
  'healthz',
  'readyz',
  'metrics',
  'ca',
  'crl',
  'other',
];

const STATUS_CLASSES = ['2xx', '3xx', '4xx', '5xx'];

export const METRICS: readonly MetricDefinition[] = [
  {
    name: 'writ_http_requests',
    kind: 'counter',
    help: 'Requests answered, by area of the interface, method and class of status.',
    labels: { area: AREAS, method: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'], status: STATUS_CLASSES },
  },
  {
    name: 'writ_http_request_seconds',
    kind: 'histogram',
    unit: 'seconds',
    help: 'From the headers of a request to its answer, by area of the interface.',
    labels: { area: AREAS },
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
  },
];

/** Counts answers. The series of a route are found once. */
export function requestObserver(
  metrics: Metrics,
): (route: Route | undefined, status: number, milliseconds: number) => void {
  const known = new Map<Route | undefined, { readonly counts: readonly Series[]; readonly time: Series }>();
  const seriesOf = (route: Route | undefined) => {
    const words = (route?.path ?? '').split('/');
    const word = words[1] === 'v1' ? words[2] : words[1];
    const area = word !== undefined && AREAS.includes(word) ? word : 'other';
    const method = route?.method ?? 'GET';
    return {
      counts: STATUS_CLASSES.map((status) => metrics.series('writ_http_requests', { area, method, status })),
      time: metrics.series('writ_http_request_seconds', { area }),
    };
  };
  return (route, status, milliseconds) => {
    const series = known.get(route) ?? seriesOf(route);
    known.set(route, series);
    metrics.add(series.counts[Math.min(3, Math.max(0, Math.floor(status / 100) - 2))]!);
    metrics.observe(series.time, milliseconds / 1000);
  };
}
