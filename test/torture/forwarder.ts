import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** How somebody is cut off: nothing passes any more, connections break, or the next piece comes in half and no more. */
export const CUTS = ['silent', 'reset', 'half'] as const;
export type Cut = (typeof CUTS)[number];

/**
 * A cable between a client and whichever server is there, which tests pull. Its own address stays, as that of a load
 * balancer does. What was held back while it was silent is delivered once it is mended, as a network does that was away.
 */
export class Forwarder {
  readonly #server: Server;
  readonly #target: () => string | undefined;
  readonly #links = new Set<Link>();
  #cut: Cut | undefined;

  /** `target`: `https://host:port` for the next connection; undefined where nobody is there. */
  static async open(target: () => string | undefined): Promise<Forwarder> {
    const forwarder = new Forwarder(target);
    await once(forwarder.#server.listen(0, '127.0.0.1'), 'listening');
    forwarder.#server.unref();
    return forwarder;
  }

  private constructor(target: () => string | undefined) {
    this.#target = target;
    this.#server = createServer((client) => this.#accept(client));
  }

  /** `https://host:port`. */
  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  cut(how: Cut): void {
    this.#cut = how;
    for (const link of this.#links) link.cut(how);
  }

  mend(): void {
    this.#cut = undefined;
    for (const link of this.#links) link.mend();
  }

  close(): void {
    this.#server.close();
    for (const link of this.#links) link.cut('reset');
  }

  #accept(client: Socket): void {
    client.on('error', () => undefined);
    const target = this.#target();
    if (target === undefined || this.#cut === 'reset') {
      client.resetAndDestroy();
      return;
    }
    const { hostname, port } = new URL(target);
    const link = new Link(client, connect({ host: hostname, port: Number(port) }));
    this.#links.add(link);
    client.once('close', () => this.#links.delete(link));
    if (this.#cut !== undefined) link.cut(this.#cut);
  }
}

/** One connection through it. */
class Link {
  readonly #ends: readonly [Socket, Socket];
  readonly #backlog: (readonly [Socket, Buffer])[] = [];
  #cut: Cut | undefined;

  constructor(client: Socket, server: Socket) {
    this.#ends = [client, server];
    for (const [from, to] of [this.#ends, [server, client]] as const) {
      from.on('error', () => undefined);
      from.on('data', (piece: Buffer) => this.#pass(piece, to));
      // An end is told of, too, only while the cable is whole.
      from.on('close', () => {
        if (this.#cut === undefined) to.destroy();
      });
    }
  }

  cut(how: Cut): void {
    this.#cut = how;
    if (how === 'reset') for (const end of this.#ends) end.resetAndDestroy();
  }

  mend(): void {
    this.#cut = undefined;
    for (const [to, piece] of this.#backlog.splice(0)) to.write(piece);
    if (this.#ends.some(({ destroyed }) => destroyed)) for (const end of this.#ends) end.destroy();
  }

  #pass(piece: Buffer, to: Socket): void {
    if (this.#cut === undefined) {
      to.write(piece);
      return;
    }
    const passes = this.#cut === 'half' ? Math.floor(piece.length / 2) : 0;
    if (passes > 0) to.write(piece.subarray(0, passes));
    this.#cut = 'silent';
    this.#backlog.push([to, piece.subarray(passes)]);
  }
}
