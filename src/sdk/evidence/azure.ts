import { azureNonce } from '../../wire/bound-octets.ts';
import { askFor } from './ask.ts';
import { type MachineOptions, metadataOf } from './machine.ts';
import type { EvidenceSource } from './source.ts';
import { requireToken } from './token.ts';

/** A machine of Azure: an attested document for the server's challenge and this key. */
export function azureEvidence(options: MachineOptions): EvidenceSource {
  const { attestor } = options;
  const base = metadataOf(options);
  return {
    async present(spki, ask) {
      const { challenge } = await ask({ attestor });
      const nonce = azureNonce(challenge, spki);
      const query = new URLSearchParams({ 'api-version': '2021-12-13', nonce }).toString();
      const document = await askFor('signature', {
        url: `${base}/metadata/attested/document?${query}`,
        headers: { Metadata: 'true' },
        whom: 'metadata service of Azure',
        field: 'metadata',
        remedy: 'Check that this is a machine of Azure, and that programs on it may reach the metadata service.',
      });
      return { kind: 'azure', attestor, challenge, document };
    },
  };
}

export interface AzureIdentityOptions extends MachineOptions {
  /** The application that the token is for, as `api://…` or by its id; its `aud` is the attestor's audience. */
  readonly audience: string;
  /** Client id of the managed identity, where there are several. */
  readonly client?: string | undefined;
}

/**
 * A managed identity of Azure, for an attestor of the kind `oidc`: of a machine by its metadata service, in App Service,
 * Functions and Container Apps by what their environment names (`IDENTITY_ENDPOINT`).
 */
export function azureIdentityEvidence(options: AzureIdentityOptions): EvidenceSource {
  const { attestor, audience, client } = options;
  const base = metadataOf(options);
  return {
    async present() {
      const { IDENTITY_ENDPOINT: endpoint, IDENTITY_HEADER: secret } = process.env;
      const place =
        endpoint === undefined || secret === undefined || options.metadata !== undefined
          ? { url: `${base}/metadata/identity/oauth2/token`, version: '2018-02-01', headers: { Metadata: 'true' } }
          : { url: endpoint, version: '2019-08-01', headers: { 'X-IDENTITY-HEADER': secret } };
      const query = new URLSearchParams({
        'api-version': place.version,
        resource: audience,
        ...(client === undefined ? {} : { client_id: client }),
      }).toString();
      const token = await askFor('access_token', {
        url: `${place.url}?${query}`,
        headers: place.headers,
        whom: 'source of managed identities of Azure',
        field: 'metadata',
        remedy: 'Check that what runs here has a managed identity, and that there is an application by that audience.',
      });
      return { kind: 'oidc', attestor, token: requireToken(token, 'metadata') };
    },
  };
}
