import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { NODE_FLAGS, SERVER_ENVIRONMENT } from '../bin/node-flags.js';
import { processorTime, run } from './process.ts';
import { median } from './statistics.ts';

/** Connections that ask one question after the other. */
const CONNECTIONS = 16;
/** Answers in one block, and before the first. */
const BLOCK = 8000;
const WARM = 16_000;

interface Said {
  readonly figures: Record<string, number>;
  readonly port: number;
  readonly ocsp: string;
  readonly constant: string;
}

/**
 * What OCSP answers cost: `ocsp_signed_ratio`, the rate of signed answers in process by the bare signing rate, and
 * `ocsp_cached_ratio`, the rate of a server that gives one from its cache by its rate when it answers a constant of equal
 * size. Rates are those of the server's own processor time, so whoever else uses the machine counts little.
 */
export async function measureOcsp(
  directory: string,
  { quick }: { readonly quick: boolean },
): Promise<Record<string, number>> {
  const script = join(import.meta.dirname, 'revocation-ocsp-server.ts');
  const data = join(directory, 'ocsp', 'writ-data');
  const running = await run([...NODE_FLAGS, script, data], { env: SERVER_ENVIRONMENT });
  try {
    const { figures, port, ocsp, constant } = running.said as unknown as Said;
    const sockets = await Promise.all(Array.from({ length: CONNECTIONS }, () => open(port)));
    const cost = async (path: string, count = BLOCK): Promise<number> => {
      const before = processorTime(running.pid);
      await Promise.all(sockets.map((socket) => ask(socket, path, count / CONNECTIONS)));
      return (processorTime(running.pid) - before) / count;
    };
    for (const path of [ocsp, constant]) await cost(path, WARM);
    const [kept, fixed]: [number[], number[]] = [[], []];
    for (let block = 0; block < (quick ? 7 : 15); block++) {
      kept.push(await cost(ocsp));
      fixed.push(await cost(constant));
    }
    for (const socket of sockets) socket.destroy();
    return {
      ...figures,
      ocsp_cached_ratio: median(fixed.map((us, block) => us / kept[block]!)),
      ocsp_cached_us: median(kept),
      ocsp_constant_us: median(fixed),
    };
  } finally {
    await running.stop();
  }
}

async function open(port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  await once(socket, 'connect');
  return socket;
}

/** Asks so often, each time after the answer before. Rejects for any answer but a whole 200. */
function ask(socket: Socket, path: string, count: number): Promise<void> {
  const request = `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`;
  return new Promise((resolve, reject) => {
    let left = count;
    let missing = 0;
    const onData = (chunk: Buffer): void => {
      if (missing === 0) missing = lengthOf(chunk);
      missing -= chunk.length;
      if (missing > 0) return;
      left -= 1;
      if (left > 0) socket.write(request);
      else {
        socket.off('data', onData).off('error', reject);
        resolve();
      }
    };
    socket.on('data', onData).on('error', reject);
    socket.write(request);

    /** Octets of the whole answer that begins here. */
    function lengthOf(chunk: Buffer): number {
      const head = chunk.toString('latin1', 0, 1024);
      const length = /\r\nContent-Length: (\d+)\r\n/i.exec(head);
      const end = head.indexOf('\r\n\r\n');
      if (!head.startsWith('HTTP/1.1 200 ') || length === null || end < 0) {
        reject(new Error(`a server answered ${head.slice(0, 200)}`));
        return Number.POSITIVE_INFINITY;
      }
      return end + 4 + Number(length[1]);
    }
  });
}
