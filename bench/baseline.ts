/**
 * What Writ is compared with: the least that could answer the same requests. A bare `node:https` handler with the same
 * TLS settings, on as many threads, that reads the request, makes one verification and one signature, and answers the
 * same bytes. It parses, decides, records and stores nothing.
 */
import { generateKeyPairSync, randomBytes, sign, verify } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { type TlsIdentity, tlsServerOptions } from '../src/http/tls.ts';

/** What the file that is named to it holds. */
export interface BaselineFile {
  readonly identity: TlsIdentity;
  readonly answer: string;
}

const [, , file, threads] = process.argv;
const { identity, answer } = JSON.parse(readFileSync(file!, 'utf8')) as BaselineFile;

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
/** As long as what is signed in a request, and in a certificate. */
const [request, certificate] = [randomBytes(130), randomBytes(420)];
const signature = sign('sha256', request, privateKey);

function handle(incoming: IncomingMessage, response: ServerResponse): void {
  const chunks: Buffer[] = [];
  incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
  incoming.on('end', () => {
    verify('sha256', request, publicKey, signature);
    sign('sha256', certificate, privateKey);
    response.writeHead(201, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(answer) });
    response.end(answer);
  });
}

if (isMainThread) {
  let port = 0;
  for (let number = 0; number < Number(threads); number++) {
    const worker = new Worker(new URL(import.meta.url), { workerData: port, argv: process.argv.slice(2) });
    [port] = (await once(worker, 'message')) as [number];
  }
  process.stdout.write(`${JSON.stringify({ port })}\n`);
} else {
  const server = createServer({ ...tlsServerOptions(identity, true), keepAliveTimeout: 60_000 }, handle);
  server.listen({ host: '127.0.0.1', port: workerData as number, reusePort: true }, () => {
    parentPort!.postMessage((server.address() as AddressInfo).port);
  });
}
