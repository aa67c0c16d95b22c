import type { Command } from '../../cli/command.ts';

/** One for each kind of evidence; the environment says where the server is and which root it has. */
export const EVIDENCE_EXAMPLES: NonNullable<Command['examples']> = (
  [
    [
      'cluster --evidence k8s --evidence-token-file /var/run/secrets/tokens/writ',
      'by the account of its pod in Kubernetes',
    ],
    ['ci --evidence oidc --evidence-token-file token.jwt', 'by a token of an OpenID issuer'],
    [
      'gitlab --evidence oidc --evidence-token-variable WRIT_ID_TOKEN',
      'by a token in the environment, in a job of GitLab',
    ],
    [
      'github --evidence github-actions --evidence-audience agents.example.com',
      'by a token that GitHub Actions gives a job',
    ],
    [
      'factory --evidence x509pop --evidence-chain-file device.pem --evidence-key-file device.key',
      'by the certificate of another authority',
    ],
    [
      'modules --evidence tpm --store /var/lib/writ-agent',
      'by its trusted platform module, which signs for each renewal',
    ],
    ['aws --evidence aws --store /var/lib/writ-agent', 'as a machine of AWS, which is let in once'],
    ['google --evidence gcp --evidence-audience agents.example.com', 'as a machine of Google Cloud'],
    [
      'google-sa --evidence gcp-identity --evidence-audience agents.example.com',
      'by a service account of Google Cloud',
    ],
    ['azure --evidence azure', 'as a machine of Azure'],
    ['azure-id --evidence azure-identity --evidence-audience api://writ', 'by a managed identity of Azure'],
  ] as const
).map(([flags, does]) => ({
  line: `writ agent run --attestor ${flags}`,
  does: `lets this machine in ${does}`,
}));
