import type { Challenge, CreateChallenge, Evidence } from '../../wire/attestation.ts';
import type { ModuleSignature } from '../../wire/certificate.ts';
import type { RuntimeSource } from './runtime-claims.ts';

/** Asks the server for something fresh to sign. */
export type AskChallenge = (request: CreateChallenge) => Promise<Challenge>;

/** Where evidence comes from: what a program has that an attestor of the server vouches for. */
export interface EvidenceSource {
  /** Evidence for a key (DER of its SubjectPublicKeyInfo). Asked for once, at enrolment. */
  present(spki: Uint8Array, ask: AskChallenge): Promise<Evidence>;
  /** What goes with each renewal, for sources that vouch for each. */
  renew?(spki: Uint8Array, ask: AskChallenge): Promise<ModuleSignature>;
}

/** Where to enrol with evidence, how to know the server there, and as whom. */
export interface WithEvidence {
  readonly source: EvidenceSource;
  /** `https://host:port`. */
  readonly server: string;
  /**
   * The authority's root, since no evidence says which one it is: PEM, or its fingerprint as the server shows it when it
   * starts, `sha256:` and 64 hexadecimal digits.
   */
  readonly root: string;
  /** As which agent or service, where registration entries for several match. */
  readonly agent?: string | undefined;
  /** What the program says of the agent that it runs, at the enrolment and with each renewal: when that has changed, it is quarantined. */
  readonly runtime?: RuntimeSource | undefined;
  /** How long certificates are to live; absent: as entry and profile say. */
  readonly lifetimeSeconds?: number | undefined;
}
