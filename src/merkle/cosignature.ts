import { isWritError } from '../base/error.ts';
import { type Checkpoint, parseCheckpoint } from './checkpoint.ts';

/** What an ML-DSA-44 cosignature speaks about. */
export interface Cosigned {
  /** Name of the key that signs: for the log's own cosignature, its origin. */
  readonly cosigner: string;
  /** Seconds since the epoch, 0 … 2^63 − 1. */
  readonly timestamp: bigint;
  /** Text of the checkpoint. */
  readonly checkpoint: string;
}

const LABEL = Buffer.from('subtree/v1\n\0');

/**
 * The `cosigned_message` that ML-DSA-44 signs for a checkpoint (C2SP tlog-cosignature v1.1.0-rc.1): label, cosigner's
 * name, timestamp, log origin, start 0, end = tree size, root. Undefined when the text is no checkpoint, a name is not
 * 1 … 255 octets long or the timestamp is out of range. A wire value: it never changes.
 */
export function cosignatureMessage({ cosigner, timestamp, checkpoint }: Cosigned): Uint8Array | undefined {
  let head: Checkpoint;
  try {
    head = parseCheckpoint(checkpoint);
  } catch (error) {
    if (isWritError(error, 'bad_note')) return undefined;
    throw error;
  }
  const name = Buffer.from(cosigner);
  const origin = Buffer.from(head.origin);
  if (!fits(name) || !fits(origin) || timestamp < 0n || timestamp >= 1n << 63n) return undefined;
  const numbers = [timestamp, 0n, BigInt(head.size)].map((value) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(value);
    return bytes;
  }) as [Buffer, Buffer, Buffer];
  return Buffer.concat([
    LABEL,
    Buffer.of(name.length),
    name,
    numbers[0],
    Buffer.of(origin.length),
    origin,
    numbers[1],
    numbers[2],
    head.root,
  ]);
}

function fits(name: Uint8Array): boolean {
  return name.length >= 1 && name.length <= 255;
}
