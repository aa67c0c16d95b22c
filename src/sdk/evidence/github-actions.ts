import { WritError } from '../../base/error.ts';
import { askFor } from './ask.ts';
import type { EvidenceSource } from './source.ts';
import { requireToken } from './token.ts';

export interface GithubActionsOptions {
  /** Name of the attestor at the server, of the kind `oidc`. */
  readonly attestor: string;
  /** As the attestor has it. */
  readonly audience: string;
}

/** A job of GitHub Actions: a token for the audience, from where the job's environment says. */
export function githubActionsEvidence({ attestor, audience }: GithubActionsOptions): EvidenceSource {
  return {
    async present() {
      const { ACTIONS_ID_TOKEN_REQUEST_URL: url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: bearer } = process.env;
      if (url === undefined || bearer === undefined || !URL.canParse(url)) throw notAllowed();
      const asked = new URL(url);
      // The bearer's token is a secret; the runner itself may well be where it listens.
      if (asked.protocol !== 'https:' && !/^(?:127\.\d+\.\d+\.\d+|\[::1\]|localhost)$/.test(asked.hostname)) {
        throw notAllowed();
      }
      asked.searchParams.set('audience', audience);
      const token = await askFor('value', {
        url: asked.href,
        headers: { Authorization: `Bearer ${bearer}`, Accept: 'application/json; api-version=2.0' },
        whom: 'issuer of GitHub Actions',
        field: 'ACTIONS_ID_TOKEN_REQUEST_URL',
        remedy: 'Run the step again; if that does not help, look at the status of GitHub Actions.',
      });
      return { kind: 'oidc', attestor, token: requireToken(token, 'ACTIONS_ID_TOKEN_REQUEST_URL') };
    },
  };
}

function notAllowed(): WritError {
  return new WritError('bad_config', 'This is no job of GitHub Actions that may ask for a token.', {
    field: 'ACTIONS_ID_TOKEN_REQUEST_URL',
    remedy: 'Give the job "permissions: id-token: write" in its workflow.',
  });
}
