import { WritError } from '../../base/error.ts';
import type { ServerMethod } from '../../grpc/server-method.ts';
import type { CallerProcess } from '../process/table.ts';

/** SPIFFE Workload Endpoint §3: a request without the static metadata could have been made for somebody else. */
export function requireHeader(method: ServerMethod<CallerProcess>): ServerMethod<CallerProcess> {
  return {
    path: method.path,
    async serve(call) {
      if (call.metadata['workload.spiffe.io'] !== 'true') {
        throw new WritError('bad_request', 'The metadata "workload.spiffe.io: true" is missing.', {
          field: 'workload.spiffe.io',
        });
      }
      await method.serve(call);
    },
  };
}
