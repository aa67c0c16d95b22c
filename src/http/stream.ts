import type { ServerResponse } from 'node:http';
import type { Concurrency } from './concurrency.ts';

/** The body of an answer that goes on: whoever gave the reply writes it, piece by piece, until one of the ends closes. */
export interface ReplyStream {
  /** Sends a piece. A reader for whom more than the bound is waiting already is cut off instead. Does nothing once ended. */
  write(piece: string | Uint8Array): void;
  /** Ends the answer and the connection after what was written. */
  end(): void;
  /** Called once, when the answer has ended for whatever reason. */
  onEnd(listener: () => void): void;
  /** Authenticates the caller again, as of now, and cuts the stream when that fails. Never rejects. */
  look(): Promise<void>;
}

export interface StreamOptions {
  /** Octets that may wait for a slow reader. */
  readonly waiting: number;
  /** Rejects or throws when the caller is not good any more. */
  readonly authenticate: () => unknown;
  readonly counted: { readonly among: Concurrency; readonly as: string };
}

/** How long an answer that was cut off may take to end by itself. */
const LINGER_MS = 500;

/** Opens a stream over a response whose head has been written. */
export function openStream(response: ServerResponse, options: StreamOptions): ReplyStream {
  const { waiting, authenticate, counted } = options;
  const listeners: (() => void)[] = [];
  let open = true;
  response.once('close', () => {
    open = false;
    counted.among.leave(counted.as);
    for (const listener of listeners.splice(0)) listener();
  });
  response.on('error', () => response.destroy());
  return {
    write(piece) {
      if (!open || response.writableEnded) return;
      // What waited before counts: one large piece is no sign of a slow reader.
      if (response.writableLength > waiting) response.destroy();
      else response.write(piece);
    },
    end() {
      if (open && !response.writableEnded) response.end();
    },
    onEnd(listener) {
      if (open) listeners.push(listener);
      else listener();
    },
    async look() {
      try {
        await authenticate();
      } catch {
        // What was written goes out: it may be why.
        if (open && !response.writableEnded) response.end();
        setTimeout(() => response.destroy(), LINGER_MS).unref();
      }
    },
  };
}
