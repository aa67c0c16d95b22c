/** The client library: an identity for a running program, mutual TLS with it, and nothing else to install. */
export { type ErrorCode, isWritError, WritError } from '../base/error.ts';
export type { SpiffeId } from '../spiffe-id/spiffe-id.ts';
export type { Runtime } from '../wire/runtime.ts';
export { type CanaryEvents, type CanaryOptions, type CanaryPoint, CanaryRunner } from './canary/canary.ts';
export type { ChildIdentity } from './enrolment/child-identity.ts';
export { type ChildOptions, type Children, type ChildrenOptions, childrenOf } from './enrolment/children.ts';
export { type ConnectOptions, connect } from './enrolment/connect.ts';
export { type RuntimeParts, runtimeClaims } from './evidence/runtime-claims.ts';
export type { EvidenceSource, WithEvidence } from './evidence/source.ts';
export type { AnyIdentity, IdentityEvents } from './identity/any-identity.ts';
export type { Credential } from './identity/credential.ts';
export type { Fetch } from './identity/fetch.ts';
export type { Identity } from './identity/identity.ts';
export { requireStaple, type StapleOptions, stapleOcsp } from './identity/staple.ts';
export { type PeerRule, peerOf, spiffeIdOf } from './peer/peer.ts';
export type { Relay } from './relay/relay.ts';
export type { Decision, Refusal, VerifierEvents, VerifierOptions } from './verifier/options.ts';
export { createVerifier, type Verifier } from './verifier/verifier.ts';
