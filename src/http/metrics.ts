/** What is measured, declared once and alike in every thread. Label values are a closed list: nobody can add series. */
export interface MetricDefinition {
  /** Without the `_total` of a counter. */
  readonly name: string;
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  /** `seconds`, `bytes`; the name must end in it (OpenMetrics §5.1.5). */
  readonly unit?: string;
  readonly labels?: Readonly<Record<string, readonly string[]>>;
  /** Upper bounds of a histogram's buckets, ascending; the last, +Inf, is understood. */
  readonly buckets?: readonly number[];
}

export const METRICS_TYPE = 'application/openmetrics-text; version=1.0.0; charset=utf-8';

/** One time series: where its numbers lie in each thread's part of the memory. */
export interface Series {
  readonly at: number;
  readonly buckets: readonly number[];
}

interface Laid {
  readonly definition: MetricDefinition;
  /** By label text as it is printed, e.g. `route="GET /healthz",status="2xx"`. */
  readonly series: ReadonlyMap<string, Series>;
}

/**
 * Counters, gauges and histograms of a process with many threads. Each thread writes its own part of one shared memory,
 * so that counting takes no lock and any thread can tell the sum; a number may be read a moment late.
 */
export class Metrics {
  readonly #metrics: ReadonlyMap<string, Laid>;
  readonly #size: number;
  readonly #all: Float64Array;
  readonly #own: Float64Array;

  /** `memory` comes from `metricsMemory` with the same definitions; `thread` is this one's number, from 0. */
  constructor(definitions: readonly MetricDefinition[], memory: SharedArrayBuffer, thread: number) {
    const { metrics, size } = layOut(definitions);
    this.#metrics = metrics;
    this.#size = size;
    this.#all = new Float64Array(memory);
    this.#own = this.#all.subarray(thread * size, (thread + 1) * size);
  }

  /** Finds a series once, for use ever after. Throws on a name or label that was not declared: a defect. */
  series(name: string, labels: Readonly<Record<string, string>> = {}): Series {
    const found = this.#metrics.get(name)?.series.get(labelText(labels));
    if (found === undefined) throw new TypeError(`no such series: ${name}{${labelText(labels)}}`);
    return found;
  }

  /** Counts up, or moves a gauge. */
  add(series: Series, value = 1): void {
    this.#own[series.at]! += value;
  }

  /** Sets this thread's share of a gauge; the value told is the sum over all threads. */
  set(series: Series, value: number): void {
    this.#own[series.at] = value;
  }

  /** Adds one value to a histogram. */
  observe(series: Series, value: number): void {
    const { at, buckets } = series;
    this.#own[at]! += value;
    let bucket = 0;
    while (bucket < buckets.length && value > buckets[bucket]!) bucket++;
    this.#own[at + 1 + bucket]! += 1;
  }

  /**
   * Everything as OpenMetrics text (`METRICS_TYPE`), summed over all threads, and readings taken just now. `more` is text of
   * further families, each whole.
   */
  text(readings: readonly { readonly definition: MetricDefinition; readonly value: number }[] = [], more = ''): string {
    let text = '';
    for (const { definition, series } of this.#metrics.values()) {
      text += headOf(definition);
      for (const [labels, one] of series) text += this.#lines(definition.name, definition.kind, labels, one);
    }
    for (const { definition, value } of readings) {
      text += `${headOf(definition)}${definition.name}${definition.kind === 'counter' ? '_total' : ''} ${value}\n`;
    }
    return `${text}${more}# EOF\n`;
  }

  #lines(name: string, kind: MetricDefinition['kind'], labels: string, { at, buckets }: Series): string {
    const inBraces = labels === '' ? '' : `{${labels}}`;
    if (kind !== 'histogram') {
      return `${name}${kind === 'counter' ? '_total' : ''}${inBraces} ${this.#sum(at)}\n`;
    }
    let text = '';
    let count = 0;
    for (let bucket = 0; bucket <= buckets.length; bucket++) {
      count += this.#sum(at + 1 + bucket);
      const bound = bucket < buckets.length ? `${buckets[bucket]}` : '+Inf';
      text += `${name}_bucket{${labels}${labels === '' ? '' : ','}le="${bound}"} ${count}\n`;
    }
    return `${text}${name}_count${inBraces} ${count}\n${name}_sum${inBraces} ${this.#sum(at)}\n`;
  }

  #sum(at: number): number {
    let sum = 0;
    for (let i = at; i < this.#all.length; i += this.#size) sum += this.#all[i]!;
    return sum;
  }
}

function headOf({ name, kind, help, unit }: MetricDefinition): string {
  return `# TYPE ${name} ${kind}\n${unit === undefined ? '' : `# UNIT ${name} ${unit}\n`}# HELP ${name} ${help}\n`;
}

/** The memory that `threads` threads share: made by the first, handed to all. */
export function metricsMemory(definitions: readonly MetricDefinition[], threads: number): SharedArrayBuffer {
  return new SharedArrayBuffer(layOut(definitions).size * threads * Float64Array.BYTES_PER_ELEMENT);
}

/** A sum and a count for each bucket of a histogram, one cell for anything else. The same input gives the same places. */
function layOut(definitions: readonly MetricDefinition[]): { metrics: Map<string, Laid>; size: number } {
  const metrics = new Map<string, Laid>();
  let size = 0;
  for (const definition of definitions) {
    const { name, kind, unit, buckets = [] } = definition;
    if (metrics.has(name) || (unit !== undefined && !name.endsWith(`_${unit}`))) {
      throw new TypeError(`a metric is declared twice or does not end in its unit: ${name}`);
    }
    const series = new Map<string, Series>();
    for (const labels of combinations(Object.entries(definition.labels ?? {}))) {
      series.set(labelText(labels), { at: size, buckets });
      size += kind === 'histogram' ? buckets.length + 2 : 1;
    }
    metrics.set(name, { definition, series });
  }
  return { metrics, size };
}

function combinations(labels: readonly (readonly [string, readonly string[]])[]): Record<string, string>[] {
  let all: Record<string, string>[] = [{}];
  for (const [label, values] of labels) {
    all = all.flatMap((one) => values.map((value) => ({ ...one, [label]: value })));
  }
  return all;
}

function labelText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([label, value]) => `${label}="${value.replace(/[\\"\n]/g, (sign) => (sign === '\n' ? '\\n' : `\\${sign}`))}"`)
    .join(',');
}
