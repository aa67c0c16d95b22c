/** A foreign client of the Workload API: grpc-js with the published file. */
import { resolve } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const FILE = resolve(import.meta.dirname, '../../../proto/spiffe/workload/workload.proto');

export interface X509Answer {
  readonly svids: readonly {
    readonly spiffe_id: string;
    readonly x509_svid: Buffer;
    readonly x509_svid_key: Buffer;
    readonly bundle: Buffer;
    readonly hint: string;
  }[];
  readonly crl: readonly Buffer[];
  readonly federated_bundles: Readonly<Record<string, Buffer>>;
}

type Bundles = { readonly bundles: Readonly<Record<string, Buffer>>; readonly crl?: readonly Buffer[] };
type Unary<Q, A> = (asked: Q, metadata: grpc.Metadata, done: (error: grpc.ServiceError | null, answer: A) => void) => void;
type Streamed<A> = (asked: object, metadata: grpc.Metadata) => grpc.ClientReadableStream<A>;

export interface WorkloadStub extends grpc.Client {
  readonly FetchX509SVID: Streamed<X509Answer>;
  readonly FetchX509Bundles: Streamed<Bundles>;
  readonly FetchJWTBundles: Streamed<Bundles>;
  readonly FetchJWTSVID: Unary<
    { readonly audience: readonly string[]; readonly spiffe_id?: string },
    { readonly svids: readonly { readonly spiffe_id: string; readonly svid: string; readonly hint: string }[] }
  >;
  readonly ValidateJWTSVID: Unary<
    { readonly audience: string; readonly svid: string },
    { readonly spiffe_id: string; readonly claims: { readonly fields: Readonly<Record<string, object>> } }
  >;
}

export function workloadStub(socket: string): WorkloadStub {
  const loaded = grpc.loadPackageDefinition(
    loadSync(FILE, { keepCase: true, defaults: true, longs: Number, oneofs: true, includeDirs: [] }),
  );
  const Service = loaded['SpiffeWorkloadAPI'] as grpc.ServiceClientConstructor;
  const options = { 'grpc.max_receive_message_length': -1, 'grpc.use_local_subchannel_pool': 1 };
  return new Service(`unix://${socket}`, grpc.credentials.createInsecure(), options) as unknown as WorkloadStub;
}

/** With the static header, unless other metadata is given. */
export function header(given: Readonly<Record<string, string>> = { 'workload.spiffe.io': 'true' }): grpc.Metadata {
  const metadata = new grpc.Metadata();
  for (const [name, value] of Object.entries(given)) metadata.set(name, value);
  return metadata;
}

export interface Stream<A> {
  readonly messages: readonly A[];
  /** Resolves when there are so many. */
  count(n: number, ms?: number): Promise<readonly A[]>;
  /** The first one that is so: others may come before, since lists and bundles change by themselves. */
  find(what: (message: A) => boolean, ms?: number): Promise<A>;
  readonly ended: Promise<{ readonly code: number; readonly details: string }>;
  cancel(): void;
}

export function readStream<A>(call: grpc.ClientReadableStream<A>): Stream<A> {
  const messages: A[] = [];
  let wake: (() => void)[] = [];
  const rouse = (): void => {
    const all = wake;
    wake = [];
    for (const one of all) one();
  };
  let over = false;
  const ended = new Promise<{ code: number; details: string }>((then) => {
    call.on('data', (message: A) => {
      messages.push(message);
      rouse();
    });
    call.on('error', () => undefined);
    call.on('status', ({ code, details }) => {
      over = true;
      then({ code, details });
      rouse();
    });
  });
  const reached = async (what: () => boolean, ms = 15_000): Promise<void> => {
    const late = performance.now() + ms;
    while (!what()) {
      if (over || performance.now() > late) {
        throw new Error(`${messages.length} messages came; ${over ? JSON.stringify(await ended) : 'waited long'}`);
      }
      await new Promise<void>((then) => {
        wake.push(then);
        setTimeout(then, 200);
      });
    }
  };
  return {
    messages,
    ended,
    count: async (n, ms) => {
      await reached(() => messages.length >= n, ms);
      return messages;
    },
    find: async (what, ms) => {
      await reached(() => messages.some(what), ms);
      return messages.find(what)!;
    },
    cancel: () => call.cancel(),
  };
}

export function ask<Q, A>(stub: WorkloadStub, method: Unary<Q, A>, asked: Q, metadata: grpc.Metadata = header()): Promise<A> {
  return new Promise((resolve, reject) => {
    method.call(stub, asked, metadata, (error, answer) => (error === null ? resolve(answer) : reject(error)));
  });
}
