import * as z from 'zod';
import { PAGE_MEMBERS, type Page, type PageQuery, pageOf } from './page.ts';
import { type Schema, schemaOf } from './schema.ts';
import { id, type Labels, labels, name, scopes, serial, sha256, time } from './text.ts';

/** One running copy of an agent or service. */
export interface Instance {
  readonly id: string;
  /** Name of the agent or service. */
  readonly name: string;
  readonly status: 'active' | 'quarantined' | 'stopped';
  readonly enrolled_at: string;
  readonly stopped_at?: string;
  readonly first_serial: string;
  readonly latest_serial: string;
  /** Kind of the evidence on which it was let in, and which one it was. */
  readonly attestation: string;
  readonly reference: string;
  /** Its evidence, and so every certificate, ends then. */
  readonly attested_until?: string;
  /** The instance that let it in. */
  readonly parent?: string;
  readonly workflow?: string;
  readonly scopes: readonly string[];
  readonly labels: Labels;
  /** What was attested, where that was more than a join token; of one instance alone, not in listings. */
  readonly evidence?: Evidence;
}

interface Evidence {
  readonly attestor?: string;
  /** Id of the registration entry. */
  readonly entry?: string;
  /** Of the evidence as it came, in lower-case hex. */
  readonly sha256: string;
  readonly facts: Readonly<Record<string, readonly string[]>>;
}

export const instance: Schema<Instance> = schemaOf<Instance>()(
  z.strictObject({
    id,
    name,
    status: z.enum(['active', 'quarantined', 'stopped']),
    enrolled_at: time,
    stopped_at: time.exactOptional(),
    first_serial: serial,
    latest_serial: serial,
    attestation: z.string().max(64),
    reference: z.string().max(255),
    attested_until: time.exactOptional(),
    parent: id.exactOptional(),
    workflow: z.string().max(255).exactOptional(),
    scopes,
    labels,
    evidence: z
      .strictObject({
        attestor: name.exactOptional(),
        entry: id.exactOptional(),
        sha256,
        facts: z.record(z.string().max(160), z.array(z.string().max(1024)).max(64)),
      })
      .exactOptional(),
  }),
);

export const instancePage: Schema<Page<Instance>> = pageOf(instance);

export interface InstanceQuery extends PageQuery {
  readonly status?: Instance['status'];
}

export const instanceQuery: Schema<InstanceQuery> = schemaOf<InstanceQuery>()(
  z.strictObject({ status: z.enum(['active', 'quarantined', 'stopped']).exactOptional(), ...PAGE_MEMBERS }),
);
