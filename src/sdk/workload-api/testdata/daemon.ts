/** A Workload API that says what a test tells it, on a unix socket. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodePem } from '../../../der/pem.ts';
import { type Codec, openCodecs } from '../../../grpc/codec.ts';
import { methodPath } from '../../../grpc/proto.ts';
import { GrpcServer } from '../../../grpc/server.ts';
import { type Answers, serverStream, unary } from '../../../grpc/server-method.ts';
import type { StatusName } from '../../../grpc/status.ts';
import type { Credential } from '../../identity/credential.ts';
import * as messages from '../messages.ts';

export interface TestDaemon {
  readonly socket: string;
  /** What callers have been told, newest last. */
  readonly metadata: string[];
  /** Says this to all that listen, and at once to who comes. */
  say(answer: Partial<messages.X509SvidResponse>): void;
  /** Ends all streams with this status, and refuses whoever comes until something is said again. */
  end(code: StatusName): void;
  /** What it answers about tokens. */
  token: (asked: messages.JwtSvidRequest) => messages.JwtSvid[];
  /** Streams that were begun. */
  streams(): number;
  /** Goes away, connections and all. */
  stop(): Promise<void>;
  start(): Promise<void>;
  close(): Promise<void>;
}

export function svidOf(credential: Credential, hint?: string): messages.X509Svid {
  const der = (pem: string): Uint8Array => decodePem(pem, 'CERTIFICATE');
  return {
    spiffe_id: credential.spiffeId,
    x509_svid: Buffer.concat([credential.certificate, ...credential.chain].map(der)),
    x509_svid_key: credential.key.export({ type: 'pkcs8', format: 'der' }) as Buffer,
    bundle: Buffer.concat(credential.roots.map(der)),
    ...(hint === undefined ? {} : { hint }),
  };
}

export async function testDaemon(): Promise<TestDaemon> {
  const scratch = mkdtempSync(join(tmpdir(), 'writ-daemon-'));
  const socket = join(scratch, 'api.sock');
  const codecs = openCodecs(messages.WORKLOAD_FILE);
  const open = new Set<Answers<undefined, messages.X509SvidResponse>>();
  const sockets = new Set<Socket>();
  const path = (name: string): string => methodPath(messages.WORKLOAD_FILE, name);
  const answer = (given: Partial<messages.X509SvidResponse>) => ({ svids: [], crl: [], federated_bundles: {}, ...given });
  let said: messages.X509SvidResponse | StatusName = 'unavailable';
  let streams = 0;
  let server: Server | undefined;
  const tell = (answers: Answers<undefined, messages.X509SvidResponse>): void => {
    if (typeof said === 'string') answers.end({ code: said, message: 'as told' });
    else answers.send(said);
  };
  const response: Codec<messages.X509SvidResponse> = codecs.of(messages.x509SvidResponse);
  const grpc = new GrpcServer<undefined>({
    methods: [
      serverStream<undefined, object, messages.X509SvidResponse>({
        ...{ path: path('FetchX509SVID'), request: codecs.of(messages.x509SvidRequest), response },
        handle(_asked, answers) {
          streams += 1;
          open.add(answers);
          answers.signal.addEventListener('abort', () => open.delete(answers));
          tell(answers);
        },
      }),
      unary<undefined, messages.JwtSvidRequest, { readonly svids: readonly messages.JwtSvid[] }>({
        ...{ path: path('FetchJWTSVID'), request: codecs.of(messages.jwtSvidRequest) },
        response: codecs.of(messages.jwtSvidResponse),
        handle: (asked) => ({ svids: self.token(asked) }),
      }),
    ].map((method) => ({
      path: method.path,
      serve(call) {
        self.metadata.push(String(call.metadata['workload.spiffe.io']));
        return method.serve(call);
      },
    })),
    failure: (error) => ({ code: 'internal', message: String(error) }),
  });
  const self: TestDaemon = {
    ...{ socket, metadata: [], token: () => [], streams: () => streams },
    say(given) {
      said = answer(given);
      for (const answers of open) tell(answers);
    },
    end(code) {
      said = code;
      for (const answers of open) tell(answers);
    },
    async stop() {
      for (const one of sockets) one.destroy();
      server?.close();
      if (server !== undefined) await once(server, 'close');
    },
    async start() {
      server = createServer((one) => {
        sockets.add(one);
        one.once('close', () => sockets.delete(one));
        grpc.accept(one, undefined);
      });
      await once(server.listen(socket), 'listening');
    },
    async close() {
      await self.stop();
      rmSync(scratch, { recursive: true, force: true });
    },
  };
  await self.start();
  return self;
}
