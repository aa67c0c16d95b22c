import * as z from 'zod';
import { type Runtime, runtime } from './runtime.ts';
import { type Schema, schemaOf } from './schema.ts';
import { csr, dnsNames, id, lifetime, name, scopes } from './text.ts';

/*
 * What a node asks for its workloads. Each answer is an `IssuedCertificate` (`certificate.ts`) with the bundle.
 */

/** What a node saw of a process, by name (`docs/ATTESTATION.md` lists all), e.g. `{"unix:uid": ["1000"]}`. */
export type WorkloadFacts = Readonly<Record<string, readonly string[]>>;

const workloadFacts = z
  .record(
    z.string().regex(/^[a-z0-9]+:[^\s=]{1,128}$/, 'Name facts like unix:uid.'),
    z.array(z.string().max(1024)).max(64),
  )
  .refine((all) => Object.keys(all).length <= 128, 'Give at most 128 facts.')
  .meta({ maxProperties: 128 });

/** Lets a workload in, as a child of the node whose certificate is presented. */
export interface EnrolWorkload {
  /** Made by the node, which keeps the key for the workload in memory. */
  readonly csr: string;
  /** Id of the registration entry that the facts match. */
  readonly entry: string;
  readonly facts: WorkloadFacts;
  /** Which process it is, for people: e.g. `pid 4711, started 2026-11-22T14:03:22Z`. */
  readonly process?: string;
  readonly dns_names?: readonly string[];
  /** Narrower than those of the entry. */
  readonly scopes?: readonly string[];
  readonly runtime?: Runtime;
}

export const enrolWorkload: Schema<EnrolWorkload> = schemaOf<EnrolWorkload>()(
  z.strictObject({
    csr: csr.describe('PEM, or base64 of the DER.'),
    entry: id,
    facts: workloadFacts,
    process: z
      .string()
      .min(1)
      .max(255)
      .regex(/^[\x20-\x7e]+$/, 'Give printable ASCII.')
      .exactOptional(),
    dns_names: dnsNames.exactOptional(),
    scopes: scopes.exactOptional(),
    runtime: runtime.exactOptional(),
  }),
);

/** The next certificate of a workload that the caller let in. */
export interface RenewWorkload {
  readonly csr: string;
  /**
   * What the node sees now. Where it is not what the entry wants any more, or the binary, image or manifest is another
   * than at enrolment, the instance is quarantined. Absent: nothing is compared.
   */
  readonly facts?: WorkloadFacts;
  readonly runtime?: Runtime;
  readonly dns_names?: readonly string[];
}

export const renewWorkload: Schema<RenewWorkload> = schemaOf<RenewWorkload>()(
  z.strictObject({
    csr,
    facts: workloadFacts.exactOptional(),
    runtime: runtime.exactOptional(),
    dns_names: dnsNames.exactOptional(),
  }),
);

/** An instance that the caller runs in its own process: let in, or the next certificate where it has been before. */
export interface StartChild {
  /** Made in that process, which keeps the key. */
  readonly csr: string;
  /** Name of the agent or service that it is a copy of. */
  readonly agent: string;
  /** What the caller calls it by: for one instance for ever. */
  readonly reference: string;
  /** By a registration entry for this workflow alone. */
  readonly workflow?: string;
  readonly runtime?: Runtime;
  readonly lifetime_seconds?: number;
  readonly dns_names?: readonly string[];
  /** Narrower than those of the entry. */
  readonly scopes?: readonly string[];
}

export const startChild: Schema<StartChild> = schemaOf<StartChild>()(
  z.strictObject({
    csr: csr.describe('PEM, or base64 of the DER.'),
    agent: name,
    reference: z
      .string()
      .min(1)
      .max(255)
      .regex(/^[\x21-\x7e]+$/, 'Give printable ASCII without spaces.'),
    workflow: z.string().min(1).max(255).exactOptional(),
    runtime: runtime.exactOptional(),
    lifetime_seconds: lifetime.exactOptional(),
    dns_names: dnsNames.exactOptional(),
    scopes: scopes.exactOptional(),
  }),
);

export const byInstance: Schema<{ readonly instance: string }> = schemaOf<{ readonly instance: string }>()(
  z.strictObject({ instance: id }),
);
