/** Runs jobs one at a time, in the order in which they came. A job that rejects stops nobody behind it. */
export class Queue {
  #last: Promise<unknown> | undefined;

  /** Starts `job` at once when none is running, before this call returns. */
  run<T>(job: () => Promise<T>): Promise<T> {
    const running = this.#last === undefined ? job() : this.#last.then(job, job);
    this.#last = running;
    const done = (): void => {
      if (this.#last === running) this.#last = undefined;
    };
    running.then(done, done);
    return running;
  }

  /** Resolves when everything that was asked for until now has ended. */
  async idle(): Promise<void> {
    await this.#last?.catch(() => undefined);
  }
}
