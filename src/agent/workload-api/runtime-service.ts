import { openCodecs } from '../../grpc/codec.ts';
import { methodPath } from '../../grpc/proto.ts';
import { type ServerMethod, unary } from '../../grpc/server-method.ts';
import {
  type PresentRuntimeRequest,
  presentRuntimeRequest,
  presentRuntimeResponse,
  RUNTIME_FILE,
} from '../../sdk/workload-api/runtime-messages.ts';
import { type Runtime, runtime } from '../../wire/runtime.ts';
import { parse } from '../../wire/schema.ts';
import { failureOf } from '../failure.ts';
import type { CallerProcess } from '../process/table.ts';
import type { Workloads } from '../workloads/workloads.ts';
import { requireHeader } from './require-header.ts';

/** By which a runtime says what it runs: `proto/writ/workload/v1/runtime.proto`. */
export function runtimeMethods({
  workloads,
}: {
  readonly workloads: Workloads;
}): readonly ServerMethod<CallerProcess>[] {
  const codecs = openCodecs(RUNTIME_FILE);
  return [
    unary<CallerProcess, PresentRuntimeRequest, Readonly<Record<never, never>>>({
      path: methodPath(RUNTIME_FILE, 'PresentRuntime'),
      request: codecs.of(presentRuntimeRequest),
      response: codecs.of(presentRuntimeResponse),
      async handle(asked, { connection }) {
        if (await workloads.present(connection, saidIn(asked))) return {};
        throw failureOf('unavailable');
      },
    }),
  ].map(requireHeader);
}

/** Throws `bad_request` for what has not the form that `POST /v1/workloads` takes. */
function saidIn(asked: PresentRuntimeRequest): Runtime {
  const said = Object.entries(asked.runtime ?? {}).filter(([, value]) => value !== '' && value !== undefined);
  return parse(runtime, Object.fromEntries(said), 'body');
}
