import { parseArgs } from 'node:util';

export const SABOTAGES = [
  'answer-before-commit',
  'drop-leaf',
  'reuse-token',
  'drop-entry',
  'forget-last',
  'stay-well',
] as const;
const ENGINES = ['sqlite', 'postgres'] as const;

export interface TortureOptions {
  /** Milliseconds. */
  readonly duration: number;
  /** Ends earlier when so many kills were made on each engine. */
  readonly kills: number;
  readonly seed: number;
  readonly engines: readonly (typeof ENGINES)[number][];
  /** A promise that the server breaks on purpose; then violations are what is wanted. */
  readonly sabotage: (typeof SABOTAGES)[number] | undefined;
}

/** Fewer kills a minute than this, and the run has shown nothing: it goes on, up to so many times as long as asked. */
export const KILLS_A_MINUTE = 15;
export const LONGER = 3;

/** Throws what is wrong with the command line. */
export function parseOptions(argv: readonly string[]): TortureOptions {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      minutes: { type: 'string', default: '2' },
      kills: { type: 'string', default: '1000000' },
      seed: { type: 'string', default: String(Math.floor(Math.random() * 1_000_000)) },
      engine: { type: 'string', multiple: true, default: [...ENGINES] },
      sabotage: { type: 'string' },
    },
  });
  const { sabotage } = values;
  return {
    duration: number('minutes', values.minutes) * 60_000,
    kills: number('kills', values.kills),
    seed: number('seed', values.seed),
    engines: values.engine.map((name) => oneOf('engine', name, ENGINES)),
    sabotage: sabotage === undefined ? undefined : oneOf('sabotage', sabotage, SABOTAGES),
  };
}

function number(name: string, text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value) && value >= 0) return value;
  throw new TypeError(`--${name} takes a number`);
}

function oneOf<T extends string>(name: string, text: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === text);
  if (found === undefined) throw new TypeError(`--${name} takes one of ${choices.join(', ')}`);
  return found;
}
