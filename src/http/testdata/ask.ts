import type { IncomingHttpHeaders } from 'node:http';
import { type Agent, request } from 'node:https';
import { connect } from 'node:tls';

export interface Asked {
  readonly port: number;
  readonly ca: string;
  readonly path: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly client?: { readonly keyPem: string; readonly pem: string };
  readonly agent?: Agent;
}

export interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** One request over TLS to 127.0.0.1, on a connection of its own unless an agent is given. */
export function ask(asked: Asked): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        host: '127.0.0.1',
        port: asked.port,
        path: asked.path,
        method: asked.method ?? 'GET',
        headers: { ...asked.headers },
        ca: asked.ca,
        agent: asked.agent ?? false,
        ...(asked.client === undefined ? {} : { key: asked.client.keyPem, cert: asked.client.pem }),
      },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('end', () =>
          resolve({ status: answer.statusCode!, headers: answer.headers, text: Buffer.concat(chunks).toString('utf8') }),
        );
        answer.on('error', reject);
      },
    );
    sent.on('error', reject);
    sent.end(asked.body);
  });
}

/** Writes octets as they are over TLS; gives all that came back until the server closed the connection. */
export function askRaw(port: number, ca: string, pieces: readonly string[], pauseMs = 0): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, ca, ALPNProtocols: ['http/1.1'] });
    let text = '';
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      text += chunk;
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') reject(error);
    });
    socket.on('close', () => resolve(text));
    const write = async (): Promise<void> => {
      for (const piece of pieces) {
        socket.write(piece, 'latin1');
        if (pauseMs > 0) await new Promise((ready) => setTimeout(ready, pauseMs));
      }
    };
    socket.on('secureConnect', () => void write());
  });
}
