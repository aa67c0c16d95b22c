/** `writ/evidence`: what platforms vouch for, as `connect({ evidence: { source, … } })` takes it. */
export { awsEvidence } from './aws.ts';
export { type AzureIdentityOptions, azureEvidence, azureIdentityEvidence } from './azure.ts';
export { type CertificateEvidenceOptions, certificateEvidence } from './certificate.ts';
export { type GcpEvidenceOptions, gcpEvidence } from './gcp.ts';
export { type GithubActionsOptions, githubActionsEvidence } from './github-actions.ts';
export type { MachineOptions } from './machine.ts';
export type { AskChallenge, EvidenceSource, WithEvidence } from './source.ts';
export { type TokenEvidenceOptions, tokenEvidence } from './token.ts';
export { type TpmEvidenceOptions, tpmEvidence } from './tpm.ts';
