import { WritError } from '../../base/error.ts';
import { readText, requireOne } from './file.ts';
import type { EvidenceSource } from './source.ts';

export interface TokenEvidenceOptions {
  /** Name of the attestor at the server, see "writ attestor list". */
  readonly attestor: string;
  /** The token, or what fetches it: for issuers that are asked, like that of GitHub Actions. */
  readonly token?: string | (() => string | Promise<string>) | undefined;
  /** File that somebody keeps a fresh token in, like that of a Kubernetes service account. */
  readonly file?: string | undefined;
  /** Environment variable that names such a file, like `AWS_WEB_IDENTITY_TOKEN_FILE` or `AZURE_FEDERATED_TOKEN_FILE`. */
  readonly fileFrom?: string | undefined;
  /** Environment variable that holds the token itself, as jobs of GitLab have it. */
  readonly variable?: string | undefined;
  /** Kind of the attestor; default `oidc`. */
  readonly kind?: 'oidc' | 'k8s' | 'gcp';
}

/** A token of somebody whom an attestor of the server believes; read when it is needed, so that it is fresh. */
export function tokenEvidence(options: TokenEvidenceOptions): EvidenceSource {
  const { attestor, token, file, fileFrom, variable, kind = 'oidc' } = options;
  requireOne({ token, file, fileFrom, variable });
  const read = async (): Promise<string> => {
    if (typeof token === 'function') return token();
    if (token !== undefined) return token;
    if (variable !== undefined) return fromEnvironment(variable, 'variable', 'the token');
    return readText(file ?? fromEnvironment(fileFrom!, 'fileFrom', 'the path of the file'), 'file');
  };
  return {
    present: async () => ({ kind, attestor, token: requireToken(await read(), file === undefined ? 'token' : 'file') }),
  };
}

function fromEnvironment(name: string, field: string, what: string): string {
  const value = process.env[name];
  if (value !== undefined && value !== '') return value;
  throw new WritError('bad_config', 'The environment does not say where the token is.', {
    field,
    remedy: `Set ${name} to ${what}.`,
  });
}

/** Three parts (RFC 7515 §7.1), as the server asks for. Throws `bad_config` that does not repeat what was there. */
export function requireToken(text: string, from: string): string {
  const token = text.trim();
  if (/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) return token;
  throw new WritError('bad_config', 'What is to be evidence is no signed token.', {
    field: from,
    remedy: 'Have a JSON web token of three parts there, and nothing else.',
  });
}
