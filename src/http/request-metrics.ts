import type { MetricDefinition, Metrics, Series } from './metrics.ts';
import type { Route } from './route.ts';

const CLASSES = ['2xx', '3xx', '4xx', '5xx'] as const;
/** Where no route was found. */
const NO_ROUTE = 'none';
/** Seconds. */
const BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5];

/** What is measured of requests, for a table of routes. */
export function requestMetrics(routes: readonly Route[]): MetricDefinition[] {
  const names = [...new Set(routes.map(nameOf)), NO_ROUTE];
  return [
    {
      name: 'writ_http_requests',
      kind: 'counter',
      help: 'Requests answered, by route and class of status.',
      labels: { route: names, status: CLASSES },
    },
    {
      name: 'writ_http_request_duration_seconds',
      kind: 'histogram',
      unit: 'seconds',
      help: 'From the headers of a request to its answer, by route.',
      labels: { route: names },
      buckets: BUCKETS,
    },
  ];
}

/** What a server is given to tell its answers to (`ServerOptions.observe`). */
export function requestObserver(
  metrics: Metrics,
  routes: readonly Route[],
): (route: Route | undefined, status: number, milliseconds: number) => void {
  const byRoute = new Map<Route | undefined, Measured>(
    routes.map((route) => [route, measured(metrics, nameOf(route))]),
  );
  const none = measured(metrics, NO_ROUTE);
  return (route, status, milliseconds) => {
    const { counts, duration } = byRoute.get(route) ?? none;
    metrics.add(counts[Math.min(5, Math.max(2, Math.floor(status / 100))) - 2]!);
    metrics.observe(duration, milliseconds / 1000);
  };
}

interface Measured {
  /** One for each class of status. */
  readonly counts: readonly Series[];
  readonly duration: Series;
}

function measured(metrics: Metrics, route: string): Measured {
  return {
    counts: CLASSES.map((status) => metrics.series('writ_http_requests', { route, status })),
    duration: metrics.series('writ_http_request_duration_seconds', { route }),
  };
}

function nameOf({ method, path }: Route): string {
  return `${method} ${path}`;
}
