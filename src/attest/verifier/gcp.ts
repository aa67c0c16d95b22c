import type { GcpEvidence } from '../../wire/attestation.ts';
import type { GcpParameters } from '../../wire/attestor.ts';
import type { Verified, Verifier, VerifierParts } from '../evidence.ts';
import type { KeySets, KeySource } from './key-sets.ts';
import { computeEngineFacts, GOOGLE } from './oidc-facts.ts';
import { readable } from './readable.ts';
import { judgeToken } from './signed-token.ts';

/** Machines of these projects. */
export interface GcpProjects {
  readonly projects: readonly string[];
  readonly audience: string;
  readonly source: KeySource;
}

/** Identity tokens that Google Cloud's metadata server gives to a machine, in their full format. */
export function gcpVerifier(keySets: KeySets): Verifier<GcpEvidence, GcpProjects> {
  return {
    parse: ({ projects, audience, jwks_uri, ca }: GcpParameters) => ({
      projects,
      audience,
      source: {
        issuer: GOOGLE,
        ...(jwks_uri === undefined ? {} : { jwksUri: jwks_uri }),
        ...(ca === undefined ? {} : { ca }),
      },
    }),
    verify: (evidence, projects, parts) => verifyGcp(evidence, projects, parts, keySets),
  };
}

async function verifyGcp(
  { token }: GcpEvidence,
  { projects, audience, source }: GcpProjects,
  { clock }: VerifierParts,
  keySets: KeySets,
): Promise<Verified> {
  const keys = {
    current: () => keySets.current(source),
    newer: (known: Parameters<KeySets['newer']>[1]) => keySets.newer(source, known),
  };
  const expected = { issuer: GOOGLE, audience, algorithms: ['RS256'] as const, now: clock.now() };
  const judged = await judgeToken(token, keys, expected);
  if (!judged.ok) return { accepted: false, fault: judged.fault };
  const facts = computeEngineFacts(judged.claims);
  const project = facts?.['gcp:project_id']?.[0];
  const instance = facts?.['gcp:instance_id']?.[0];
  // Without them it is a token of a person or a service account, not of a machine; or not in the full format.
  if (facts === undefined || project === undefined || instance === undefined) {
    return { accepted: false, fault: 'malformed' };
  }
  if (!projects.includes(project)) return { accepted: false, fault: 'not-admitted' };
  return {
    accepted: true,
    facts: { ...facts, 'oidc:sub': [judged.subject] },
    reference: readable(`${instance} of ${project}`),
    once: judged.once,
  };
}
