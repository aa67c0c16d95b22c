/**
 * What a token through the daemon is compared with: `spiffe-bare.ts FILE`, the least that could answer as much over the same
 * kind of connection. A bare `node:http2` handler with the TLS settings of the product's servers that reads the request,
 * signs once and answers as many octets as a token has in a gRPC message.
 */
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { type TlsIdentity, tlsServerOptions } from '../src/http/tls.ts';

const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
/** As long as what is signed of a token, and as the answer. */
const INPUT = randomBytes(480);
const ANSWER = randomBytes(680);

function handle(stream: ServerHttp2Stream, signs: boolean): void {
  stream.on('error', () => undefined);
  stream.on('data', () => undefined);
  stream.on('end', () => {
    if (signs) sign('sha256', INPUT, { key, dsaEncoding: 'ieee-p1363' });
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    const frame = Buffer.allocUnsafe(5 + ANSWER.length);
    frame.writeUInt8(0);
    frame.writeUInt32BE(ANSWER.length, 1);
    ANSWER.copy(frame, 5);
    stream.end(frame);
  });
}

const identity = JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as TlsIdentity;
const server = createSecureServer(tlsServerOptions(identity, true));
server.on('session', (session) => {
  session.on('error', () => undefined);
  session.on('stream', (stream, headers) => handle(stream, headers[':path'] === '/signed'));
});
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${JSON.stringify({ port: (server.address() as AddressInfo).port })}\n`);
});
