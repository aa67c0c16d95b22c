/** A relay that was taken over: it stands between a follower and an honest one, and passes on what a test makes of it. */
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import * as https from 'node:https';
import type { AddressInfo } from 'node:net';
import type { FeedStatement, SignedStatement } from '../../../wire/feed-statement.ts';
import type { Identity } from '../../identity/identity.ts';

export interface FalseRelayOptions {
  /** Whose relay it was. */
  readonly identity: Identity;
  /** `https://host:port` of an honest relay, and who that may be. */
  readonly to: string;
  readonly allow: string;
}

/** What becomes of something signed; undefined leaves it out. */
export type Tamper = (said: FeedStatement, signed: SignedStatement) => SignedStatement | string | undefined;

export interface FalseRelay {
  /** `https://host:port`. */
  readonly at: string;
  /** From now on, also in streams that are open. */
  tamper(how: Tamper): void;
  /** What the unsigned beginning of a stream says of the time. */
  helloTime(time: number): void;
  /** Follows what it is asked. */
  readonly asked: string[];
  close(): void;
}

export async function falseRelay({ identity, to, allow }: FalseRelayOptions): Promise<FalseRelay> {
  const asked: string[] = [];
  let tamper: Tamper = (_, signed) => signed;
  let time: number | undefined;
  const fetch = identity.fetch({ allow });
  const changed = (text: string): string | undefined => {
    const signed = JSON.parse(text) as SignedStatement;
    const made = tamper(JSON.parse(signed.statement) as FeedStatement, signed);
    return made === undefined || typeof made === 'string' ? made : JSON.stringify(made);
  };
  const server = https.createServer(identity.serverOptions(), (request, response) => void serve(request, response));
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = request.url ?? '';
    asked.push(path);
    const stop = new AbortController();
    response.on('close', () => stop.abort());
    response.on('error', () => undefined);
    try {
      const pieces: Buffer[] = [];
      for await (const piece of request) pieces.push(piece as Buffer);
      const body = request.method === 'POST' ? Buffer.concat(pieces) : null;
      const id = request.headers['last-event-id'];
      const answer = await fetch(`${to}${path}`, {
        ...{ method: request.method!, body, signal: stop.signal },
        headers: id === undefined ? {} : { 'Last-Event-ID': String(id) },
      });
      response.writeHead(answer.status, { 'Content-Type': answer.headers.get('content-type')! });
      if (!path.startsWith('/v1/feed?')) {
        const text = await answer.text();
        response.end(/signed-entries|time/.test(path) ? (changed(text) ?? '{}') : text);
        return;
      }
      let rest = '';
      for await (const chunk of answer.body!.pipeThrough(new TextDecoderStream())) {
        const blocks = (rest + chunk).split('\n\n');
        rest = blocks.pop()!;
        for (const block of blocks) response.write(blockAs(helloAt(block, time), changed));
      }
      response.end();
    } catch {
      response.destroy();
    }
  };
  server.on('tlsClientError', () => undefined);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    at: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    tamper(how) {
      tamper = how;
    },
    helloTime(given) {
      time = given;
    },
    asked,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

function helloAt(block: string, time: number | undefined): string {
  return time !== undefined && block.startsWith('event: hello') ? block.replace(/"time":\d+/, `"time":${time}`) : block;
}

function blockAs(block: string, changed: (text: string) => string | undefined): string {
  const data = /^event: signed\ndata: (.*)$/.exec(block)?.[1];
  if (data === undefined) return `${block}\n\n`;
  const made = changed(data);
  if (made === undefined) return '';
  return made.startsWith('event:') ? made : `event: signed\ndata: ${made}\n\n`;
}
