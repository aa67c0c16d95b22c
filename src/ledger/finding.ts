/** Something that a verification found wrong. */
export interface Finding {
  /** What it is about, e.g. `entry 17`, `tile 0/3`, `checkpoint 4096`, `certificate`. */
  readonly where: string;
  /** What is wrong with it, as the end of a sentence. */
  readonly what: string;
}

export type Report = (where: string, what: string) => void;
