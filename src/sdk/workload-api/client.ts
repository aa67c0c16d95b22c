import { type ErrorCode, WritError } from '../../base/error.ts';
import { GrpcClient } from '../../grpc/client.ts';
import { openCodecs } from '../../grpc/codec.ts';
import { DEFAULT_GRPC_LIMITS } from '../../grpc/limits.ts';
import { type MessageType, methodPath } from '../../grpc/proto.ts';
import type { Status, StatusName } from '../../grpc/status.ts';
import type { Runtime } from '../../wire/runtime.ts';
import { openWorkloadSocket, type WorkloadEndpoint } from './endpoint.ts';
import * as messages from './messages.ts';
import { presentRuntimeRequest, presentRuntimeResponse, RUNTIME_FILE, toPresent } from './runtime-messages.ts';

/** Whoever has thousands of identities gets them in one message. */
const LARGEST_MESSAGE = 64 * 1024 * 1024;
const CALL_MS = 15_000;

/** Asks a Workload API. Each call rejects with a `WritError`. */
export class WorkloadClient {
  readonly #grpc: GrpcClient;
  readonly #codecs = openCodecs(messages.WORKLOAD_FILE);

  constructor(endpoint: WorkloadEndpoint) {
    this.#grpc = new GrpcClient({
      authority: 'http://localhost',
      connect: () => openWorkloadSocket(endpoint),
      limits: { ...DEFAULT_GRPC_LIMITS, message: LARGEST_MESSAGE, sessionMemory: 128 },
      // SPIFFE Workload Endpoint §3.
      metadata: { 'workload.spiffe.io': 'true' },
    });
  }

  /**
   * Hands each set of identities to `take` until the stream ends, which it does by rejecting; also with what `take` throws.
   * `opened` gets a function that gives the call up.
   */
  async follow(
    take: (answer: messages.X509SvidResponse) => void,
    opened: (cancel: () => void) => void,
  ): Promise<never> {
    const { x509SvidRequest, x509SvidResponse } = messages;
    const call = this.#grpc.serverStream(this.#method('FetchX509SVID', x509SvidRequest, x509SvidResponse), {});
    opened(() => call.cancel());
    let refused: unknown;
    for await (const answer of call.messages()) {
      try {
        take(answer);
      } catch (error) {
        refused = error;
        call.cancel();
        break;
      }
    }
    const status = await call.status;
    throw refused ?? failureOf(status);
  }

  async jwtSvids(asked: messages.JwtSvidRequest): Promise<readonly messages.JwtSvid[]> {
    const method = this.#method('FetchJWTSVID', messages.jwtSvidRequest, messages.jwtSvidResponse);
    const answer = await this.#grpc.unary(method, asked, { timeout: CALL_MS });
    if (answer.ok) return answer.message.svids;
    throw failureOf(answer.status);
  }

  /** What the token says, or why it is not valid. Rejects where the daemon did not answer that. */
  async validate(asked: messages.ValidateJwtSvidRequest): Promise<messages.ValidateJwtSvidResponse | string> {
    const method = this.#method('ValidateJWTSVID', messages.validateJwtSvidRequest, messages.validateJwtSvidResponse);
    const answer = await this.#grpc.unary(method, asked, { timeout: CALL_MS });
    if (answer.ok) return answer.message;
    // SPIFFE Workload API §6.2.3: the answer to a token that is not valid.
    if (answer.status.code === 'invalid_argument') return answer.status.message;
    throw failureOf(answer.status);
  }

  /** Says what this process runs. `bad_config` where the daemon has no ear for it: it is not Writ's. */
  async present(runtime: Runtime): Promise<void> {
    const codecs = openCodecs(RUNTIME_FILE);
    const method = {
      path: methodPath(RUNTIME_FILE, 'PresentRuntime'),
      request: codecs.of(presentRuntimeRequest),
      response: codecs.of(presentRuntimeResponse),
    };
    const answer = await this.#grpc.unary(method, toPresent(runtime), { timeout: CALL_MS });
    if (answer.ok) return;
    if (answer.status.code === 'unimplemented') {
      throw new WritError('bad_config', 'The daemon does not hear what a runtime says of its agent.', {
        field: 'runtime',
        remedy: 'Leave "runtime" out, or have "writ agent" serve this machine.',
      });
    }
    throw failureOf(answer.status);
  }

  close(): void {
    this.#grpc.close();
  }

  #method<Q, A>(name: string, request: MessageType<Q>, response: MessageType<A>) {
    const path = methodPath(messages.WORKLOAD_FILE, name);
    return { path, request: this.#codecs.of(request), response: this.#codecs.of(response) };
  }
}

const CODES: Partial<Readonly<Record<StatusName, ErrorCode>>> = {
  permission_denied: 'denied',
  unauthenticated: 'denied',
  invalid_argument: 'bad_request',
  unimplemented: 'bad_config',
  resource_exhausted: 'rate_limited',
};

function failureOf({ code, message }: Status): WritError {
  if (code === 'permission_denied') {
    return new WritError('denied', 'The Workload API has no identity for this process.', {
      remedy: `"writ agent why ${process.pid}" on this machine says what was seen and what did not match.`,
    });
  }
  const said = message === '' ? '' : `: ${message}`;
  return new WritError(CODES[code] ?? 'unavailable', `The Workload API did not answer (${code})${said}`, {
    remedy: 'Check that the daemon runs and that its socket can be reached.',
  });
}
