import type { Caller } from '../base/access.ts';
import { WritError } from '../base/error.ts';
import { METRICS_TYPE } from '../http/metrics.ts';
import type { Reply } from '../http/route.ts';
import type * as wire from '../wire/status.ts';
import { health, readiness, version, whoami } from '../wire/status.ts';
import { type Nothing, type Operation, operation } from './operation.ts';
import { given, hexText } from './render.ts';

/** What the server knows of itself. */
export interface ServerStatus {
  /** Of the program. */
  readonly version: string;
  readonly trustDomain: string;
  /** The parts that issuing needs, e.g. `ledger`, `authority`, `epoch`, and whether each is there. Must be quick. */
  parts(): readonly { readonly name: string; readonly ready: boolean }[];
  /** OpenMetrics text. */
  metrics(): string | Promise<string>;
}

export function statusOperations(server: ServerStatus): Operation[] {
  return [
    operation({
      id: 'getHealth',
      method: 'GET',
      path: '/healthz',
      access: 'public',
      summary: 'The process answers.',
      answer: health,
      example: { answer: { status: 'ok' } },
      handle: () => ({ status: 'ok' }) as const,
    }),
    operation({
      id: 'getReadiness',
      method: 'GET',
      path: '/readyz',
      access: 'public',
      summary: 'Whether certificates can be issued: 200, else 503.',
      answer: readiness,
      statusOf: (answer) => (answer.status === 'ready' ? 200 : 503),
      example: { answer: { status: 'ready', parts: [{ name: 'ledger', ready: true }] } },
      handle() {
        const parts = server.parts();
        return { status: parts.every((part) => part.ready) ? 'ready' : 'not_ready', parts } as const;
      },
    }),
    operation({
      id: 'getVersion',
      method: 'GET',
      path: '/v1/version',
      access: 'caller',
      summary: 'Version of the program and of this interface.',
      answer: version,
      example: { answer: { version: '0.1.0', api: 'v1', trust_domain: 'agents.example.com' } },
      handle: () => ({ version: server.version, api: 'v1', trust_domain: server.trustDomain }) as const,
    }),
    operation({
      id: 'whoami',
      method: 'GET',
      path: '/v1/whoami',
      access: 'caller',
      summary: 'Who the server takes the caller for.',
      answer: whoami,
      example: { answer: { kind: 'operator', spiffe_id: 'spiffe://agents.example.com/operator/ada', name: 'ada' } },
      handle: ({ caller }) => whoamiAnswer(caller),
    }),
    operation<Nothing, Nothing, Nothing, Reply>({
      id: 'getMetrics',
      method: 'GET',
      path: '/metrics',
      access: 'caller',
      summary: 'What is measured, as OpenMetrics text. For operators.',
      raw: METRICS_TYPE,
      async handle({ caller }) {
        demandOperator(caller);
        return { status: 200, type: METRICS_TYPE, body: await server.metrics() };
      },
    }),
  ];
}

function whoamiAnswer(caller: Caller): wire.Whoami {
  const { kind, id, instance, serial } = caller;
  if (kind === 'anonymous' || kind === 'system')
    throw new WritError('not_authenticated', 'The caller has no name here.');
  return {
    kind,
    spiffe_id: id,
    name: caller.operator ?? caller.agent ?? '',
    ...given('instance', instance),
    ...given('serial', serial === undefined ? undefined : hexText(serial)),
  };
}

function demandOperator(caller: Caller): void {
  if (caller.kind === 'operator') return;
  throw new WritError('denied', 'Metrics are for operators.', {
    remedy: 'Present the certificate of an operator.',
    reasons: ['What is measured says how much every other caller does.'],
  });
}
