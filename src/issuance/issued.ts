import { WritError } from '../base/error.ts';
import { parseSerial } from '../ca/certificate/serial.ts';
import { type CertificateKind, type CertificateRow, readCertificate } from '../ca/index/certificates.ts';
import { readEvent } from '../ledger/history.ts';
import type { Name } from '../spiffe-id/name.ts';
import { subjectId } from '../spiffe-id/subject.ts';
import type { TrustDomain } from '../spiffe-id/trust-domain.ts';
import { instanceHolder } from './instance-holder.ts';
import type { IssuanceParts } from './parts.ts';

/** The answer to a request for a certificate. It exists only for what is durably recorded. */
export interface IssuedCertificate {
  /** Content octets of the serial number. */
  readonly serial: Uint8Array;
  /** The SPIFFE ID. */
  readonly id: string;
  readonly kind: CertificateKind;
  /** Of the agent, service or operator; `server` and `responder` for Writ's own. */
  readonly name: string;
  readonly instance?: string;
  readonly profile: string;
  /** Milliseconds. */
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly der: Uint8Array;
  /** DER of what is sent after it: issuing authority first, without the root. */
  readonly chain: readonly Uint8Array[];
  /** Ledger index of its issue. */
  readonly leaf: number;
}

/**
 * The answer that was given before, under an idempotency key, read again. `serial` in hex. Throws why its instance is
 * handed nothing any more.
 */
export async function issuedBefore(serial: string, parts: IssuanceParts): Promise<IssuedCertificate> {
  const row = await readCertificate(parts.certificates, parseSerial(serial, '/serial'));
  if (row === undefined) throw new WritError('not_found', 'The first answer is past retention.');
  const holder = row.instance === undefined ? undefined : await instanceHolder(row.instance, parts, false);
  if (holder?.fault !== undefined) throw holder.fault;
  return issuedFrom(row, {
    id: certifiedId(parts.trustDomain, row),
    der: await certificateIn(row, parts),
    chain: parts.authority.chain(row.issuer),
    leaf: row.leaf,
  });
}

/** DER of a certificate, from the entry that recorded its issue. */
async function certificateIn({ leaf }: CertificateRow, { reader }: IssuanceParts): Promise<Uint8Array> {
  const der = (await readEvent(reader, leaf))?.body['certificate'];
  if (typeof der === 'string') return new Uint8Array(Buffer.from(der, 'base64url'));
  throw new WritError('ledger_corrupt', `entry ${leaf} of the ledger is not the issue that its index says`);
}

/** The SPIFFE ID in a certificate, as its row says it. */
export function certifiedId(domain: TrustDomain, row: Pick<CertificateRow, 'kind' | 'name' | 'instance'>): string {
  const { kind, name, instance = '' } = row;
  return subjectId(
    domain,
    kind === 'server' || kind === 'responder' ? { kind } : { kind, name: name as Name, instance },
  ).uri;
}

/** The answer about a certificate whose row is this. */
export function issuedFrom(
  row: Pick<CertificateRow, 'serial' | 'kind' | 'name' | 'instance' | 'profile' | 'issuedAt' | 'expiresAt'>,
  { id, der, chain, leaf }: Pick<IssuedCertificate, 'id' | 'der' | 'chain' | 'leaf'>,
): IssuedCertificate {
  const { serial, kind, name, instance, profile, issuedAt, expiresAt } = row;
  const issued = { serial, id, kind, name, profile, issuedAt, expiresAt, der, chain, leaf };
  return instance === undefined ? issued : { ...issued, instance };
}
