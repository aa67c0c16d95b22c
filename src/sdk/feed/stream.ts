import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { WritError } from '../../base/error.ts';
import type { Fetch } from '../identity/fetch.ts';
import type { PeerRule } from '../peer/peer.ts';

/** What the feed is read with: an identity, which shows who reads. */
export interface FeedIdentity {
  clientOptions(options: { readonly allow?: PeerRule }): ConnectionOptions;
  fetch(options: { readonly allow?: PeerRule }): Fetch;
  /** Told of each connection that is not a `fetch`'s. */
  opened?(socket: TLSSocket): void;
}

export interface FeedStreamOptions {
  readonly identity: FeedIdentity;
  readonly allow: PeerRule;
  /** `https://host:port`. */
  readonly server: string;
  /** With its query. */
  readonly path: string;
  /** Number of the log and position that are known. */
  readonly place: { readonly log: number; readonly position: number };
  readonly signal: AbortSignal;
  /** Without a sign of life for so long the connection is given up, milliseconds. */
  readonly silence: number;
  /** The question is about to be sent. */
  readonly onAsk: () => void;
  /** Takes whole events, without the empty line behind each. Says whether they are a sign of life; may throw. */
  readonly onBlocks: (blocks: readonly string[]) => boolean;
}

/** Characters of one event that is not whole yet; what is signed has at most a thousand entries. */
const LONGEST = 16 * 1024 * 1024;

/** Reads one stream of server-sent events. Resolves when the server ended it, rejects when it broke. */
export function readFeedStream(options: FeedStreamOptions): Promise<void> {
  const { identity, allow, server, path, place, signal, silence, onAsk, onBlocks } = options;
  const url = new URL(server);
  return new Promise((resolve, reject) => {
    const sent = request({
      ...identity.clientOptions({ allow }),
      ...{ host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port === '' ? 443 : url.port, agent: false },
      ...{ path, signal },
      headers: { Accept: 'text/event-stream', 'Last-Event-ID': `${place.log}.${place.position}` },
    });
    const silent = (): void => {
      sent.destroy(new WritError('unavailable', 'The feed has fallen silent.'));
    };
    if (identity.opened !== undefined) {
      sent.once('socket', (socket) => socket.once('secureConnect', () => identity.opened!(socket as TLSSocket)));
    }
    // The question is not sent before that; a connection that was long in coming would make all that follows seem old.
    sent.once('socket', (socket) => socket.once('secureConnect', onAsk));
    let timer = setTimeout(silent, silence);
    timer.unref();
    const end = (how: () => void): void => {
      clearTimeout(timer);
      how();
    };
    sent.on('error', (error) => end(() => reject(error)));
    sent.on('response', (answer: IncomingMessage) => {
      answer.on('error', (error) => end(() => reject(error)));
      answer.on('end', () => end(resolve));
      if (answer.statusCode !== 200) {
        answer.resume();
        sent.destroy(refused(answer.statusCode!));
        return;
      }
      let rest = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => {
        const blocks = (rest + chunk).split('\n\n');
        rest = blocks.pop()!;
        try {
          if (rest.length > LONGEST) throw new WritError('too_large', 'An event of the feed does not end.');
          if (!onBlocks(blocks)) return;
          clearTimeout(timer);
          timer = setTimeout(silent, silence);
          timer.unref();
        } catch (error) {
          sent.destroy(error as Error);
        }
      });
    });
    sent.end();
  });
}

export function refused(status: number): WritError {
  return new WritError('unavailable', `The server refused the feed with status ${status}.`, {
    remedy: 'Check that the identity of this program is good.',
  });
}
