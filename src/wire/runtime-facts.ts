import { type Facts, valuesOf } from './match-facts.ts';
import type { Runtime } from './runtime.ts';

/**
 * What a runtime says of the agent that it runs, as facts behind `agent:`. `agent:verified` and `agent:claimed` name those
 * that something else proves, and those that it alone says: a rule or entry that wants proof asks for
 * `agent:verified=image_digest`, too.
 *
 * `other`: what was attested beside it. The digest of the image is proven where the container's own was seen by the node.
 * `signer`: the attestor by whose key the image of that digest is signed (`imageSignerOf`).
 */
export function runtimeFacts(runtime: Runtime | undefined, other: Facts, signer?: string): Facts {
  const facts: Record<string, readonly string[]> = {};
  const verified: string[] = [];
  const claimed: string[] = [];
  for (const name of SAID_BY_RUNTIME) {
    const value = runtime?.[name];
    if (value === undefined) continue;
    facts[`agent:${name}`] = [value];
    const proven = name === 'image_digest' && valuesOf(other, 'container:image_digest').includes(value);
    (proven ? verified : claimed).push(name);
  }
  if (signer !== undefined) {
    facts['agent:image_signed_by'] = [signer];
    verified.push('image_signed_by');
  }
  if (verified.length > 0) facts['agent:verified'] = verified.sort();
  if (claimed.length > 0) facts['agent:claimed'] = claimed.sort();
  return facts;
}

/** What a runtime can say, each a fact `agent:NAME`. */
export const SAID_BY_RUNTIME: readonly Exclude<keyof Runtime, 'image_signature'>[] = [
  'model_provider',
  'model_version',
  'prompt_sha256',
  'tools_sha256',
  'framework',
  'image_digest',
];

/** What was evidence of a node or of an attestor, without what only looks like what this server itself finds out. */
export function withoutAgentFacts(facts: Facts): Facts {
  return Object.fromEntries(Object.entries(facts).filter(([name]) => !name.startsWith('agent:')));
}

export function onlyAgentFacts(facts: Facts): Facts {
  return Object.fromEntries(Object.entries(facts).filter(([name]) => name.startsWith('agent:')));
}

/**
 * Facts that stay as they are for as long as it is the same agent: another program, image, model, prompt or tools is
 * another agent.
 */
const STEADY: ReadonlySet<string> = new Set([
  'unix:uid',
  'unix:gid',
  'unix:path',
  'unix:sha256',
  'systemd:unit',
  'systemd:user_unit',
  'container:id',
  'container:image',
  'container:image_digest',
  'container:image_id',
  'k8s:namespace',
  'k8s:service_account',
  'k8s:pod_uid',
  'agent:model_provider',
  'agent:model_version',
  'agent:prompt_sha256',
  'agent:tools_sha256',
  'agent:framework',
  'agent:image_digest',
]);

/**
 * Names of the steady facts that were attested and are not the same now. One that was not attested may come to be; one
 * that is not said any more has changed, since leaving it out would hide a change.
 */
export function driftOf(attested: Facts, now: Facts): readonly string[] {
  return Object.keys(attested)
    .filter((name) => STEADY.has(name))
    .filter((name) => {
      const before = [...valuesOf(attested, name)].sort();
      const after = [...valuesOf(now, name)].sort();
      return before.length !== after.length || before.some((value, at) => value !== after[at]);
    })
    .sort();
}
