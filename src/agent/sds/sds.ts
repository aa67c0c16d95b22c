import { openCodecs } from '../../grpc/codec.ts';
import { methodPath } from '../../grpc/proto.ts';
import { type Answers, bidirectional, type ServerMethod, unary } from '../../grpc/server-method.ts';
import { failureOf } from '../failure.ts';
import type { CallerProcess } from '../process/table.ts';
import type { Trust } from '../trust.ts';
import { type FollowParts, follow } from '../workload-api/stream.ts';
import type { Child } from '../workloads/child.ts';
import { deltaSecrets, type NamedSecret, requireFewNames, requireSecrets, SECRET_TYPE } from './delta.ts';
import {
  type DeltaRequest,
  type DeltaResponse,
  type DiscoveryRequest,
  type DiscoveryResponse,
  deltaRequest,
  deltaResponse,
  discoveryRequest,
  discoveryResponse,
  SDS_FILE,
  secret,
  spiffeValidator,
} from './messages.ts';
import { secretsOf } from './secrets.ts';

export interface SdsParts extends FollowParts {
  readonly trust: Trust;
  /** Told why Envoy did not take what it was given. */
  readonly refused: (why: string) => void;
}

/**
 * Envoy's secret discovery service, version 3, for proxies that share the daemon's machine: as good as the Workload API, so
 * the same callers, entries and changes. What names they may ask for stands at `secretsOf`.
 */
export function sdsMethods(parts: SdsParts): readonly ServerMethod<CallerProcess>[] {
  const codecs = openCodecs(SDS_FILE);
  const [secrets, validators] = [codecs.of(secret), codecs.of(spiffeValidator)];
  const made = (children: readonly Child[], names: readonly string[]): readonly NamedSecret[] =>
    secretsOf({ ...parts, validators }, children, names).map((one) => ({
      name: one.name,
      packed: { type_url: SECRET_TYPE, value: secrets.encode(one) },
    }));
  const resources = (children: readonly Child[], names: readonly string[]): DiscoveryResponse['resources'] =>
    made(children, names).map(({ packed }) => packed);
  return [
    bidirectional<CallerProcess, DeltaRequest, DeltaResponse>({
      path: methodPath(SDS_FILE, 'DeltaSecrets'),
      request: codecs.of(deltaRequest),
      response: codecs.of(deltaResponse),
      handle: (requests, answers) => deltaSecrets(requests, answers, { ...parts, made }),
    }),
    bidirectional<CallerProcess, DiscoveryRequest, DiscoveryResponse>({
      path: methodPath(SDS_FILE, 'StreamSecrets'),
      request: codecs.of(discoveryRequest),
      response: codecs.of(discoveryResponse),
      handle: (requests, answers) => streamSecrets(requests, answers, { ...parts, resources }),
    }),
    unary<CallerProcess, DiscoveryRequest, DiscoveryResponse>({
      path: methodPath(SDS_FILE, 'FetchSecrets'),
      request: codecs.of(discoveryRequest),
      response: codecs.of(discoveryResponse),
      async handle(asked, { connection }) {
        checkRequest(asked);
        const found = await parts.workloads.identities(connection, true);
        if (!found.ok) throw failureOf(found.why);
        const made = resources(found.children, asked.resource_names);
        return { version_info: '1', resources: made, type_url: SECRET_TYPE, nonce: '' };
      },
    }),
  ];
}

async function streamSecrets(
  requests: AsyncIterable<DiscoveryRequest>,
  answers: Answers<CallerProcess, DiscoveryResponse>,
  parts: SdsParts & {
    readonly resources: (children: readonly Child[], names: readonly string[]) => DiscoveryResponse['resources'];
  },
): Promise<void> {
  let names: readonly string[] | undefined;
  let version = 0;
  let refused = 0;
  let sent = '';
  let again: (() => void) | undefined;
  const take = (children: readonly Child[]): void => {
    const made = parts.resources(children, names ?? []);
    const state = made.map(({ value }) => Buffer.from(value).toString('base64')).join(' ');
    if (state === sent) return;
    sent = state;
    version += 1;
    answers.send({
      ...{ version_info: String(version), resources: made, type_url: SECRET_TYPE, nonce: String(version) },
    });
  };
  for await (const asked of requests) {
    checkRequest(asked);
    // About an answer that has been overtaken (xDS protocol, "ACK and NACK semantics").
    if (asked.response_nonce !== '' && asked.response_nonce !== String(version)) continue;
    // Once for each answer: what is said goes into the daemon's log.
    if (asked.error_detail !== undefined && refused < version) {
      refused = version;
      parts.refused(asked.error_detail.message);
    }
    const before = names;
    names = asked.resource_names;
    if (again === undefined) again = await follow(answers, parts, take);
    else if (JSON.stringify(before) !== JSON.stringify(names)) {
      // Who asks for other names is answered, also where it has got them before.
      sent = '';
      again();
    }
  }
}

function checkRequest({ type_url, resource_names }: DiscoveryRequest): void {
  requireSecrets(type_url);
  requireFewNames(resource_names.length);
}
