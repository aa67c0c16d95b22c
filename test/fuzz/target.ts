import type { ErrorCode } from '../../src/base/error.ts';

/** A parser under test, and what is known about its input. */
export interface Target {
  /** Also the name of its folder under `corpus/`. */
  readonly name: string;
  /** Shape of the input; mutations that keep it get further than those of plain bytes. */
  readonly form: 'der' | 'json' | 'text';
  /** Longest input that is made, in octets: about what the parser's own limit lets through. */
  readonly longest: number;
  /** What refused input may say. Any other code is a defect, `internal` above all. */
  readonly codes: readonly ErrorCode[];
  /** Pieces that the format knows, for text. */
  readonly words?: readonly string[];
  /**
   * Parses one input and checks what must hold of anything accepted (`demand`). Returns for accepted input and throws a
   * `WritError` for refused input; whatever else it throws is a defect.
   */
  run(input: Uint8Array): void;
}

/** Something that must hold of accepted input does not. */
export class BrokenPromise extends Error {
  override readonly name = 'BrokenPromise';
}

export function demand(holds: boolean, what: string): void {
  if (!holds) throw new BrokenPromise(what);
}
