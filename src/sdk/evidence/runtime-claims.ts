import { createHash } from 'node:crypto';
import type { Runtime } from '../../wire/runtime.ts';

/** What a program says of the agent that it runs; a function is asked each time that it is to be said. */
export type RuntimeSource = Runtime | (() => Runtime | Promise<Runtime>);

/** What it says now. */
export async function currentRuntime(runtime: RuntimeSource): Promise<Runtime> {
  return typeof runtime === 'function' ? runtime() : runtime;
}

/** What an agent is made of. */
export interface RuntimeParts {
  readonly modelProvider?: string | undefined;
  readonly modelVersion?: string | undefined;
  readonly systemPrompt?: string | undefined;
  /** As it is handed to the model, octet for octet: JSON that is written in another order is another manifest. */
  readonly toolManifest?: string | Uint8Array | undefined;
  readonly framework?: string | undefined;
}

/** What a runtime says of its agent: of prompt and manifest the SHA-256 of their octets (UTF-8) alone. */
export function runtimeClaims(parts: RuntimeParts): Runtime {
  const { modelProvider, modelVersion, systemPrompt, toolManifest, framework } = parts;
  return {
    ...(modelProvider === undefined ? {} : { model_provider: modelProvider }),
    ...(modelVersion === undefined ? {} : { model_version: modelVersion }),
    ...(systemPrompt === undefined ? {} : { prompt_sha256: digestOf(systemPrompt) }),
    ...(toolManifest === undefined ? {} : { tools_sha256: digestOf(toolManifest) }),
    ...(framework === undefined ? {} : { framework }),
  };
}

function digestOf(octets: string | Uint8Array): string {
  return createHash('sha256').update(octets).digest('hex');
}
