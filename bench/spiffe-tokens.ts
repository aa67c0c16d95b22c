import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { NODE_FLAGS, SERVER_ENVIRONMENT } from '../bin/node-flags.js';
import { GrpcClient } from '../src/grpc/client.ts';
import { openCodecs } from '../src/grpc/codec.ts';
import type { TlsIdentity } from '../src/http/tls.ts';
import { pemOf } from '../src/sdk/identity/credential.ts';
import { jwtSvidRequest, jwtSvidResponse, WORKLOAD_FILE } from '../src/sdk/workload-api/messages.ts';
import { inFlight } from './in-flight.ts';
import { processorTime, run } from './process.ts';
import { type Node, openWorkloadClient } from './spiffe-node.ts';
import { median } from './statistics.ts';

/**
 * Calls under way at a time, of which the daemon makes a few requests to the server; the load has as many connections to the
 * bare one. Calls of one block, and before the first of each kind.
 */
const WIDTH = 128;
const BLOCK = 1500;
const BARE_BLOCK = 4500;
const WARM = 9000;

const codecs = openCodecs(WORKLOAD_FILE);

/**
 * `jwt_svid_ratio`: processor time of the server for a token that the daemon does not have, on the ledger before it is
 * given out, by that of a bare gRPC server for a call over mutual TLS in which it signs once; block by block in turn.
 * `jwt_svid_daemon_us` is what the daemon spends on it, and `jwt_svid_hit_us` what it spends on a token that it has.
 */
export async function measureTokens(
  node: Node,
  { directory, rounds }: { readonly directory: string; readonly rounds: number },
): Promise<Record<string, number>> {
  const daemon = await node.daemon();
  const bare = await openBare(node, directory);
  const workload = openWorkloadClient(daemon.socket);
  let asked = 0;
  const miss = (): Promise<void> => askToken(workload, `https://receiver-${asked++}.example`);
  const hit = (): Promise<void> => askToken(workload, 'https://receiver.example');
  const signed = (): Promise<void> => bare.call('/signed');
  const constant = (): Promise<void> => bare.call('/constant');
  const cost = async (pids: readonly number[], work: () => Promise<void>, count: number): Promise<number[]> => {
    const before = pids.map(processorTime);
    await inFlight(count, work, WIDTH);
    return pids.map((pid, n) => (processorTime(pid) - before[n]!) / count);
  };
  const used = { server: [], daemon: [], signed: [], constant: [], hit: [], ratio: [] } as Record<string, number[]>;
  try {
    // The first lets the caller in, for which the others need not wait together.
    await hit();
    for (const work of [miss, hit, signed, constant]) await cost([], work, WARM);
    for (let round = 0; round < rounds; round++) {
      const [server, own] = await cost([node.server, daemon.pid], miss, BLOCK);
      const [one] = await cost([bare.pid], signed, BARE_BLOCK);
      used['server']!.push(server!);
      used['daemon']!.push(own!);
      used['signed']!.push(one!);
      used['ratio']!.push(server! / one!);
      used['constant']!.push(...(await cost([bare.pid], constant, BARE_BLOCK)));
      used['hit']!.push(...(await cost([daemon.pid], hit, BARE_BLOCK)));
    }
    return {
      jwt_svid_ratio: median(used['ratio']!),
      jwt_svid_server_us: median(used['server']!),
      jwt_svid_bare_us: median(used['signed']!),
      jwt_svid_bare_call_us: median(used['constant']!),
      jwt_svid_daemon_us: median(used['daemon']!),
      jwt_svid_hit_us: median(used['hit']!),
    };
  } finally {
    workload.close();
    await Promise.all([daemon.stop(), bare.stop()]);
  }
}

interface Bare {
  readonly pid: number;
  /** A call on a connection that has no other under way. */
  call(path: string): Promise<void>;
  stop(): Promise<void>;
}

/** The bare server, with connections to it. Both sides show the certificate of a machine. */
async function openBare(node: Node, directory: string): Promise<Bare> {
  const credential = await node.credential();
  const { key, chain } = pemOf(credential);
  const file = join(directory, 'bare.json');
  const trusted = credential.roots;
  writeFileSync(file, JSON.stringify({ key, chain, trusted } satisfies TlsIdentity), { mode: 0o600 });
  const running = await run([...NODE_FLAGS, join(import.meta.dirname, 'spiffe-bare.ts'), file], {
    env: SERVER_ENVIRONMENT,
  });
  const tls = { key, cert: chain, ca: [...trusted], ALPNProtocols: ['h2'], checkServerIdentity: () => undefined };
  const port = running.said['port'] as number;
  const clients = Array.from(
    { length: WIDTH },
    () =>
      new GrpcClient({
        authority: `https://localhost:${port}`,
        connect: () => connect({ host: '127.0.0.1', port, ...tls }),
      }),
  );
  const free = [...clients];
  return {
    pid: running.pid,
    async call(path) {
      const client = free.pop()!;
      await callBare(client, path);
      free.push(client);
    },
    async stop() {
      for (const client of clients) client.close();
      await running.stop();
    },
  };
}

async function askToken(client: GrpcClient, audience: string): Promise<void> {
  const answer = await client.unary(
    {
      path: '/SpiffeWorkloadAPI/FetchJWTSVID',
      request: codecs.of(jwtSvidRequest),
      response: codecs.of(jwtSvidResponse),
    },
    { audience: [audience], spiffe_id: '' },
  );
  if (!answer.ok) throw new Error(`the daemon answered ${answer.status.code}: ${answer.status.message}`);
  if (answer.message.svids.length !== 1) throw new Error(`${answer.message.svids.length} tokens in place of one`);
}

const RAW = { encode: (message: Uint8Array) => message, decode: (message: Uint8Array) => message };
/** As long as a request for a token. */
const ASKED = Buffer.alloc(40);

async function callBare(client: GrpcClient, path: string): Promise<void> {
  const answer = await client.unary({ path, request: RAW, response: RAW }, ASKED);
  if (!answer.ok) throw new Error(`the bare server answered ${answer.status.code}: ${answer.status.message}`);
}
