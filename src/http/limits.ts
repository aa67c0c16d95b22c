/** What one server bears. Rates and numbers in work are counted by each server for itself. */
export interface Limits {
  /** Requests a second, and at once, of one caller with a good certificate. */
  readonly caller: { readonly perSecond: number; readonly burst: number };
  /**
   * The same of one agent or service, counting only what may change something: each leaves an entry that stays for ever,
   * so that a program that asks in a loop does not fill the disk.
   */
  readonly writes: { readonly perSecond: number; readonly burst: number };
  /** In place of it, for what a node asks for the workloads that it lets in, all of them together. */
  readonly nodes: { readonly perSecond: number; readonly burst: number };
  /** As `caller`, of one address (IPv6: /64) without. */
  readonly address: { readonly perSecond: number; readonly burst: number };
  /** How many callers, and how many addresses, are told apart. */
  readonly remembered: number;
  /** Requests in work, of one caller or address. */
  readonly inWorkPerCaller: number;
  /** Requests in work of callers with a good certificate, in all. */
  readonly inWork: number;
  /** The same without, who have no part in the number above. */
  readonly inWorkStrangers: number;
  /** Answers that go on, of one caller and in all. They take no part in the numbers of requests in work. */
  readonly streamsPerCaller: number;
  readonly streams: number;
  /** Octets that may wait for the slow reader of one. */
  readonly streamWaiting: number;
  readonly connections: number;
  /** Of one address (IPv6: /64): each takes some 60 KiB, whether it asks for anything or not. */
  readonly connectionsPerAddress: number;
  /** Characters of the request target. */
  readonly target: number;
  /** Octets of request line and headers. */
  readonly headers: number;
  /** Milliseconds for the headers to arrive, from the first octet or, on a new connection, from its start. */
  readonly headersTimeout: number;
  /** Milliseconds for the whole request to arrive. */
  readonly requestTimeout: number;
  /** Milliseconds that a connection may idle between requests. */
  readonly idleTimeout: number;
  /** Milliseconds without an octet in either direction within a request: who does not read its answer, say. */
  readonly stallTimeout: number;
  /** Milliseconds between two looks at the timeouts above, which are therefore this inexact. */
  readonly checkInterval: number;
}

export const DEFAULT_LIMITS: Limits = {
  caller: { perSecond: 2000, burst: 4000 },
  writes: { perSecond: 20, burst: 200 },
  nodes: { perSecond: 200, burst: 10_000 },
  address: { perSecond: 200, burst: 400 },
  remembered: 65_536,
  inWorkPerCaller: 256,
  inWork: 2048,
  inWorkStrangers: 1024,
  streamsPerCaller: 64,
  streams: 12_288,
  streamWaiting: 256 * 1024,
  connections: 16_384,
  connectionsPerAddress: 2048,
  target: 4096,
  headers: 16 * 1024,
  headersTimeout: 10_000,
  requestTimeout: 20_000,
  idleTimeout: 60_000,
  stallTimeout: 60_000,
  checkInterval: 1000,
};
