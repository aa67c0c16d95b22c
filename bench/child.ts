import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

/** A script of this benchmark's that is talked to; what it has to say comes in order. */
export class Child<C, A extends { readonly kind: string }> {
  readonly #process: ChildProcess;
  readonly #ended: Promise<never>;

  constructor(script: string, args: readonly string[] = []) {
    const stdio = ['ignore', 'ignore', 'inherit', 'ipc'] as const;
    this.#process = fork(join(import.meta.dirname, script), args, { stdio: [...stdio] });
    this.#ended = new Promise((_, reject) => {
      this.#process.once('exit', () => reject(new Error(`${script} ended`)));
    });
    this.#ended.catch(() => undefined);
  }

  /** The next message of a kind. */
  hear<K extends A['kind']>(kind: K): Promise<A & { readonly kind: K }> {
    type Heard = A & { readonly kind: K };
    const heard = new Promise<Heard>((resolve) => {
      const listen = (message: A): void => {
        if (message.kind !== kind) return;
        this.#process.off('message', listen);
        resolve(message as Heard);
      };
      this.#process.on('message', listen);
    });
    return Promise.race([heard, this.#ended]);
  }

  async ask<K extends A['kind']>(command: C & object, kind: K): Promise<A & { readonly kind: K }> {
    const answer = this.hear(kind);
    this.#process.send(command);
    return answer;
  }

  /** Ends it; resolves when it has. */
  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await ended;
  }
}
