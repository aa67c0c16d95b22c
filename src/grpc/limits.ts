/** What one side of a gRPC connection bears. */
export interface GrpcLimits {
  /** Octets of one message that comes in. */
  readonly message: number;
  /** Calls at once over one connection. */
  readonly streams: number;
  /** Octets, and number, of the headers of one call. */
  readonly metadata: number;
  readonly metadataPairs: number;
  /** Octets that may wait for a slow reader of one call; past it the call is broken off. */
  readonly waiting: number;
  /** Milliseconds that the request of a call may take which has just one. */
  readonly requestTimeout: number;
  /** Milliseconds that a connection may stay without a sign of life; 0: as long as it likes. */
  readonly idleTimeout: number;
  /** Megabytes that Node may keep for one connection, what waits for its reader among them. */
  readonly sessionMemory: number;
}

export const DEFAULT_GRPC_LIMITS: GrpcLimits = {
  message: 64 * 1024,
  streams: 256,
  metadata: 16 * 1024,
  metadataPairs: 64,
  waiting: 256 * 1024,
  requestTimeout: 20_000,
  idleTimeout: 60_000,
  sessionMemory: 2,
};
