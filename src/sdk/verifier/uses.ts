/** Uses that are remembered; older ones are overwritten. */
const REMEMBERED = 4096;

/** The latest uses that were accepted: of whom, and when. */
export class Uses {
  readonly #subjects: (readonly string[])[] = [];
  readonly #times = new Float64Array(REMEMBERED);
  #next = 0;

  /** `time` in milliseconds of whichever clock `since` is asked by. */
  add(subjects: readonly string[], time: number): void {
    const at = this.#next++ % REMEMBERED;
    this.#subjects[at] = subjects;
    this.#times[at] = time;
  }

  /** Uses of any of the subjects at or after a time. */
  since(subjects: readonly string[], time: number): number {
    if (subjects.length === 0) return 0;
    let count = 0;
    this.#subjects.forEach((used, at) => {
      if (this.#times[at]! >= time && used.some((one) => subjects.includes(one))) count++;
    });
    return count;
  }
}
