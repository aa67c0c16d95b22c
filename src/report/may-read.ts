import type { AccessRequest, Caller } from '../base/access.ts';
import { demand } from '../base/demand.ts';
import { WritError } from '../base/error.ts';
import { type CertificateRow, readCertificate } from '../ca/index/certificates.ts';
import { agentResource } from '../registry/agent.ts';
import { readAgent } from '../registry/agent-store.ts';
import { readInstance } from '../registry/instance.ts';
import { isName } from '../spiffe-id/name.ts';
import type { ReportParts } from './parts.ts';

const INSTALLATION = { type: 'Installation', id: 'writ' } as const;

/** Whose certificates are asked about. Neither: everybody's. */
export interface Whose {
  /** Name of an agent or service. */
  readonly agent?: string;
  readonly instance?: string;
}

/**
 * Asks policy whether the caller may read of certificates, of one agent or of all. An agent or instance that does not
 * exist is treated like the whole: nobody learns from a refusal what there is.
 */
export async function mayRead(caller: Caller, { agent, instance }: Whose, parts: ReportParts): Promise<void> {
  await parts.refresh();
  const name = agent ?? (instance === undefined ? undefined : (await readInstance(parts.reader, instance))?.agent);
  ask(caller, await resourceOf(name, parts), parts);
}

/** The certificate with this serial number, for whoever may read it. Throws `denied`, and `not_found` where it may. */
export async function readableCertificate(
  caller: Caller,
  serial: Uint8Array,
  parts: ReportParts,
): Promise<CertificateRow> {
  await parts.refresh();
  const row = await readCertificate(parts.certificates, serial);
  if (row?.kind === 'operator') ask(caller, { type: 'Operator', id: row.name }, parts);
  else ask(caller, await resourceOf(row?.instance === undefined ? undefined : row.name, parts), parts);
  if (row !== undefined) return row;
  throw new WritError('not_found', 'There is no certificate with this serial number.', {
    field: '/serial',
    remedy: 'Those past retention are in the ledger alone.',
  });
}

async function resourceOf(name: string | undefined, { reader }: ReportParts): Promise<AccessRequest['resource']> {
  const agent = name !== undefined && isName(name) ? await readAgent(reader, name) : undefined;
  return agent === undefined ? INSTALLATION : agentResource(agent);
}

function ask(caller: Caller, resource: AccessRequest['resource'], { authorize }: ReportParts): void {
  demand(authorize, { caller, action: 'certificate.read', resource });
}
