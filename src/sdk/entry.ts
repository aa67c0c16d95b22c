/** The client library: an identity for a running program, mutual TLS with it, and nothing else to install. */
export { type ErrorCode, isWritError, WritError } from '../base/error.ts';
export type { SpiffeId } from '../spiffe-id/spiffe-id.ts';
export type { Runtime } from '../wire/runtime.ts';
export type { AnyIdentity, IdentityEvents } from './any-identity.ts';
export { type CanaryEvents, type CanaryOptions, type CanaryPoint, CanaryRunner } from './canary.ts';
export type { ChildIdentity } from './child-identity.ts';
export { type ChildOptions, type Children, type ChildrenOptions, childrenOf } from './children.ts';
export { type ConnectOptions, connect } from './connect.ts';
export type { Credential } from './credential.ts';
export type { EvidenceSource, WithEvidence } from './evidence/source.ts';
export type { Fetch } from './fetch.ts';
export type { Identity } from './identity.ts';
export { type PeerRule, peerOf, spiffeIdOf } from './peer.ts';
export type { Relay } from './relay.ts';
export { type RuntimeParts, runtimeClaims } from './runtime-claims.ts';
export { requireStaple, type StapleOptions, stapleOcsp } from './staple.ts';
export { createVerifier, type Verifier } from './verifier.ts';
export type { Decision, Refusal, VerifierEvents, VerifierOptions } from './verifier-options.ts';
