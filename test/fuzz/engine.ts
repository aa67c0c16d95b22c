import { isWritError, WritError } from '../../src/base/error.ts';
import { mutate } from './mutate.ts';
import { choices } from './random.ts';
import { BrokenPromise, type Target } from './target.ts';

/** An input on which the target did what it never may. */
export interface Defect {
  readonly kind: 'crash' | 'wrong code' | 'broken promise' | 'slow' | 'superlinear' | 'hang' | 'out of memory';
  readonly detail: string;
  readonly input: Uint8Array;
}

export interface Report {
  readonly name: string;
  readonly inputs: number;
  readonly accepted: number;
  /** Distinct kinds of refusal: code, class of field, and the two innermost places in the sources. */
  readonly sites: readonly string[];
  readonly slowestMs: number;
  /** Each kind and detail once. */
  readonly defects: readonly Defect[];
}

export interface Limits {
  readonly seed: number;
  /** Ends after so many inputs, the corpus included, or so many milliseconds, whichever comes first. */
  readonly inputs: number;
  readonly ms: number;
  /** Ends at the first defect, too. */
  readonly untilDefect?: boolean;
}

/** No input within a target's own limit of size may take longer. */
const SLOWEST_MS = 100;
/** Names in the path of a field that tell sites apart; no body of Writ is nested deeper. */
const DEEPEST_PATH = 4;
const MOST_KEPT = 1_000;
const MOST_DEFECTS = 20;

/** Called with each input before it is run, so that whoever watches can name the one that never came back. */
export type Watch = (input: Uint8Array) => void;

/**
 * Runs a target on its corpus and then on mutations of it. Inputs that are refused in a new way join what is mutated:
 * they have come somewhere new. The same target, corpus and seed give the same inputs in the same order.
 */
export function fuzz(target: Target, corpus: readonly Uint8Array[], limits: Limits, watch: Watch = () => {}): Report {
  const random = choices(limits.seed);
  const pool = [...corpus];
  const sites = new Set<string>();
  const defects = new Map<string, Defect>();
  const end = performance.now() + limits.ms;
  let inputs = 0;
  let accepted = 0;
  let slowestMs = 0;
  const words = target.form === 'json' ? wordsOf(corpus) : undefined;
  const found = (): boolean => limits.untilDefect === true && defects.size > 0;
  while (!found() && inputs < limits.inputs && (inputs % 32 !== 0 || performance.now() < end)) {
    const input = corpus[inputs] ?? mutate(target, random.below(2) === 0 ? corpus : pool, random);
    inputs++;
    watch(input);
    const { outcome, ms } = run(target, input);
    slowestMs = Math.max(slowestMs, ms);
    if (outcome === 'accepted') accepted++;
    else if (outcome instanceof WritError) {
      const site = siteOf(outcome, words);
      if (!sites.has(site) && pool.length < MOST_KEPT) pool.push(input);
      sites.add(site);
    } else if (defects.size < MOST_DEFECTS) defects.set(`${outcome.kind} ${outcome.detail}`, outcome);
  }
  return { name: target.name, inputs, accepted, sites: [...sites].sort(), slowestMs, defects: [...defects.values()] };
}

export type Outcome = 'accepted' | WritError | Defect;

/** Runs one input; gives what became of it and how long it took, in milliseconds. */
export function run(target: Target, input: Uint8Array): { outcome: Outcome; ms: number } {
  const { outcome, ms: first } = timed(target, input);
  // A pause of the machine or the collector does not come back; slow code does.
  let ms = first;
  for (let again = 0; ms > SLOWEST_MS && again < 5; again++) ms = Math.min(ms, timed(target, input).ms);
  if (ms > SLOWEST_MS) return { outcome: { kind: 'slow', detail: `more than ${SLOWEST_MS} ms`, input }, ms };
  return { outcome, ms };
}

function timed(target: Target, input: Uint8Array): { outcome: Outcome; ms: number } {
  const start = performance.now();
  const outcome = attempt(target, input);
  return { outcome, ms: performance.now() - start };
}

export function isDefect(outcome: Outcome): outcome is Defect {
  return typeof outcome === 'object' && !(outcome instanceof WritError);
}

function attempt(target: Target, input: Uint8Array): Outcome {
  try {
    target.run(input);
    return 'accepted';
  } catch (error) {
    if (error instanceof BrokenPromise) return { kind: 'broken promise', detail: error.message, input };
    if (!isWritError(error)) return { kind: 'crash', detail: whereFrom(error), input };
    if (target.codes.includes(error.code)) return error;
    return { kind: 'wrong code', detail: `${error.code}: ${error.message}`, input };
  }
}

/**
 * Code, class of field, and where in the sources it arose: the two innermost places, as `der/reader.ts:71`. A path in JSON
 * is followed as far as the corpus knows its names: from there on the input made them up.
 */
function siteOf(error: WritError, words: ReadonlySet<string> | undefined): string {
  let field = (error.field ?? '').replace(/\d+/g, '#');
  if (words !== undefined) {
    const parts = field.split(/[./]/).slice(0, DEEPEST_PATH);
    const made = parts.findIndex((part) => part !== '' && part !== '#' && !words.has(part));
    field = made === -1 ? parts.join('/') : [...parts.slice(0, made), '#'].join('/');
  }
  return `${error.code}, ${field}, ${placesOf(error).slice(0, 2).join(' from ')}`;
}

function wordsOf(corpus: readonly Uint8Array[]): Set<string> {
  return new Set(corpus.flatMap((bytes) => Buffer.from(bytes).toString('latin1').match(/\w+/g) ?? []));
}

function placesOf(error: Error): string[] {
  return [...(error.stack ?? '').matchAll(/\/src\/([\w./-]+:\d+):\d+/g)].map((match) => match[1]!);
}

function whereFrom(error: unknown): string {
  if (!(error instanceof Error)) return `${typeof error} thrown`;
  return `${error.name}: ${error.message} (${placesOf(error)[0] ?? 'outside of the sources'})`;
}
