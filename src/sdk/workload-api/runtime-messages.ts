import { type MessageType, message, nested, type ProtoFile, string } from '../../grpc/proto.ts';
import type { Runtime } from '../../wire/runtime.ts';

/*
 * What `proto/writ/workload/v1/runtime.proto` says, which others generate their clients from. Numbers and types are wire
 * values: they never change.
 */

type Signature = { readonly attestor: string; readonly bundle: string };
/** Texts are empty where nothing is said. */
type Said = { readonly [K in Exclude<keyof Runtime, 'image_signature'>]-?: string } & {
  readonly image_signature?: Signature;
};

export interface PresentRuntimeRequest {
  readonly runtime?: Said;
}

const signature: MessageType<Signature> = message<Signature>('ImageSignature', {
  attestor: string(1),
  bundle: string(2),
});

const runtime: MessageType<Said> = message<Said>('Runtime', {
  model_provider: string(1),
  model_version: string(2),
  prompt_sha256: string(3),
  tools_sha256: string(4),
  framework: string(5),
  image_digest: string(6),
  image_signature: nested(7, signature),
});

export const presentRuntimeRequest: MessageType<PresentRuntimeRequest> = message<PresentRuntimeRequest>(
  'PresentRuntimeRequest',
  { runtime: nested(1, runtime) },
);

export const presentRuntimeResponse: MessageType<Readonly<Record<never, never>>> = message(
  'PresentRuntimeResponse',
  {},
);

export const RUNTIME_FILE: ProtoFile = {
  path: 'writ/workload/v1/runtime.proto',
  package: 'writ.workload.v1',
  enums: [],
  messages: [runtime, signature, presentRuntimeRequest, presentRuntimeResponse],
  service: {
    name: 'AgentRuntime',
    methods: [{ name: 'PresentRuntime', request: presentRuntimeRequest, response: presentRuntimeResponse }],
  },
};

/** For a call: what is not said is left empty. */
export function toPresent({ image_signature, ...said }: Runtime): PresentRuntimeRequest {
  const empty = { model_provider: '', model_version: '', prompt_sha256: '', tools_sha256: '', framework: '' };
  return {
    runtime: { ...empty, image_digest: '', ...said, ...(image_signature === undefined ? {} : { image_signature }) },
  };
}
