import { type CanaryRow, quantileOf } from './canary-store.ts';
import type { allCanaries } from './show-canaries.ts';

type Told = Awaited<ReturnType<typeof allCanaries>>;

interface Family {
  readonly name: string;
  readonly type: 'summary' | 'gauge' | 'counter';
  readonly unit?: string;
  readonly help: string;
  lines(
    row: CanaryRow,
    status: Told[number]['status'],
  ): readonly (readonly [suffix: string, value: number | undefined])[];
}

const FAMILIES: readonly Family[] = [
  {
    name: 'writ_canary_time_to_effect_seconds',
    type: 'summary',
    unit: 'seconds',
    help: 'From the acknowledged stop of a canary to its last accepted call; quantiles of the latest 128.',
    lines: ({ latest, successes, sum }) => [
      ['{quantile="0.5"}', seconds(quantileOf(latest, 0.5))],
      ['{quantile="0.99"}', seconds(quantileOf(latest, 0.99))],
      ['_count', successes],
      ['_sum', sum / 1000],
    ],
  },
  {
    name: 'writ_canary_last_success_timestamp_seconds',
    type: 'gauge',
    unit: 'seconds',
    help: 'When a canary was last stopped and refused in time.',
    lines: ({ lastSuccessAt }) => [['', seconds(lastSuccessAt)]],
  },
  {
    name: 'writ_canary_failures',
    type: 'counter',
    help: 'Canaries that were still accepted five seconds after the acknowledged stop.',
    lines: ({ failures }) => [['_total', failures]],
  },
  {
    name: 'writ_canary_inconclusive',
    type: 'counter',
    help: 'Canaries that found nothing out: the point could not be reached, or refused everybody.',
    lines: ({ inconclusive }) => [['_total', inconclusive]],
  },
  {
    name: 'writ_canary_well',
    type: 'gauge',
    help: '1 while the latest canary was refused in time and reports come as often as they should.',
    lines: (_, status) => [['', status === 'well' ? 1 : 0]],
  },
];

/** OpenMetrics text of all points, without the end mark; empty where there are none. */
export function canaryMetrics(told: Told): string {
  if (told.length === 0) return '';
  return FAMILIES.map(({ name, type, unit, help, lines }) => {
    const head = `# TYPE ${name} ${type}\n${unit === undefined ? '' : `# UNIT ${name} ${unit}\n`}# HELP ${name} ${help}\n`;
    const body = told.flatMap(({ row, status }) =>
      lines(row, status).flatMap(([suffix, value]) => (value === undefined ? [] : [lineOf(name, suffix, row, value)])),
    );
    return head + body.join('');
  }).join('');
}

/** Names of agents and points have no character that would have to be escaped. */
function lineOf(name: string, suffix: string, { agent, report }: CanaryRow, value: number): string {
  const labels = `agent="${agent}",point="${report.point}"`;
  if (suffix.startsWith('{')) return `${name}{${labels},${suffix.slice(1, -1)}} ${value}\n`;
  return `${name}${suffix}{${labels}} ${value}\n`;
}

function seconds(milliseconds: number | undefined): number | undefined {
  return milliseconds === undefined ? undefined : milliseconds / 1000;
}
