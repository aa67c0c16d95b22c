import { createHash } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { open } from 'node:fs/promises';

/** Digests that are kept; programs of one machine are few. */
const KEPT = 1024;
const PIECE = 1 << 20;
/** Octets of the largest program that is read. Whoever runs a larger one (a file may be mostly holes) has it without digest. */
const LARGEST = 2n << 30n;

/** A file as it is now: another content has another text. The change time is the kernel's own, which nobody can set. */
function stateOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return `${dev}.${ino}.${size}.${mtimeNs}.${ctimeNs}`;
}

/**
 * SHA-256 of programs, each read once as long as its file stays what it is. Those of one user are read one after another, so
 * that nobody keeps the daemon from others with many large files.
 */
export class BinaryDigests {
  readonly #known = new Map<string, Promise<string>>();
  /** The last that is being read for each user. */
  readonly #reading = new Map<number, Promise<unknown>>();

  /**
   * The digest of the file that an open descriptor is of and that is as in `now`, in lower-case hex; undefined for one that is
   * too large. The descriptor stays open until then. Rejects where the file changes while it is read.
   */
  async of(file: number, now: BigIntStats, user: number): Promise<string | undefined> {
    if (now.size > LARGEST) return undefined;
    const state = stateOf(now);
    const known = this.#known.get(state);
    if (known !== undefined) {
      this.#known.delete(state);
      this.#known.set(state, known);
      return known;
    }
    const made = this.#inTurn(user, () => digest(`/proc/self/fd/${file}`, state));
    this.#known.set(state, made);
    made.catch(() => this.#known.delete(state));
    if (this.#known.size > KEPT) this.#known.delete(this.#known.keys().next().value!);
    return made;
  }

  #inTurn(user: number, read: () => Promise<string>): Promise<string> {
    const made = (this.#reading.get(user) ?? Promise.resolve()).then(read, read);
    this.#reading.set(user, made);
    const over = (): void => {
      if (this.#reading.get(user) === made) this.#reading.delete(user);
    };
    made.then(over, over);
    return made;
  }
}

async function digest(path: string, state: string): Promise<string> {
  const file = await open(path, 'r');
  try {
    if (stateOf(await file.stat({ bigint: true })) !== state) throw new Error('the file changed');
    const hash = createHash('sha256');
    const piece = Buffer.allocUnsafe(PIECE);
    for (;;) {
      const { bytesRead } = await file.read(piece, 0, PIECE, null);
      if (bytesRead === 0) break;
      hash.update(piece.subarray(0, bytesRead));
    }
    if (stateOf(await file.stat({ bigint: true })) !== state) throw new Error('the file changed while it was read');
    return hash.digest('hex');
  } finally {
    await file.close();
  }
}
