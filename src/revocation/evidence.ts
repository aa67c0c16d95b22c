import { WritError } from '../base/error.ts';
import type { CommitBatch } from '../db/batch.ts';

const LONGEST = 1024;

/** A link, as people follow it: nobody else reads it. Throws `bad_request` for anything else. */
export function parseEvidence(evidence: string | undefined): string | undefined {
  if (evidence === undefined) return undefined;
  const url = evidence.length <= LONGEST && URL.canParse(evidence) ? new URL(evidence) : undefined;
  if (url !== undefined && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '')
    return evidence;
  throw new WritError('bad_request', 'The evidence is not a link.', {
    field: '/evidence',
    remedy: `Give an http or https URL of at most ${LONGEST} characters, without a password.`,
  });
}

/** What is ended without the cord says in its own entry on whose authority that was, and what it rests on. */
export const ENDS: ReadonlySet<string> = new Set([
  'certificate.revoked',
  'instance.stopped',
  'agent.retired',
  'operator.removed',
]);

/**
 * The parts of a flow that ends one thing, with which each end of the first commit names the link to what it rests on.
 * Throws as `parseEvidence`.
 */
export function withEvidence<Parts extends { readonly commit: CommitBatch }>(
  parts: Parts,
  given: string | undefined,
): Parts {
  const evidence = parseEvidence(given);
  if (evidence === undefined) return parts;
  let begun = false;
  return {
    ...parts,
    async commit(batch) {
      if (begun || batch.events.length === 0) return parts.commit(batch);
      const events = batch.events.map((event) =>
        ENDS.has(event.type) ? { ...event, body: { ...event.body, evidence } } : event,
      );
      const commit = await parts.commit({ ...batch, events });
      begun = commit.committed;
      return commit;
    },
  };
}
