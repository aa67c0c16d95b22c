import type { Authority } from '../../ca/authority.ts';
import { formatSerial } from '../../ca/certificate/serial.ts';
import { readAuthorities } from '../../ca/hierarchy.ts';
import { type CertificateKind, readCertificate } from '../../ca/index/certificates.ts';
import type { Reader } from '../../db/database.ts';
import type { PartitionMap } from '../../db/partition-map.ts';
import { readAgent } from '../../registry/agent-store.ts';
import { readInstance } from '../../registry/instance.ts';
import { isName } from '../../spiffe-id/name.ts';
import { spiffeId } from '../../spiffe-id/spiffe-id.ts';
import type { TrustDomain } from '../../spiffe-id/trust-domain.ts';
import { formatName } from '../../x509/name.ts';
import { type SubjectNames, serialIn } from './events.ts';

/** What a subject of the feed is called outside; undefined for one that no row is left of. */
export type NamesOf = (subject: string) => Promise<SubjectNames | undefined>;

export interface NamesParts {
  readonly reader: Reader;
  readonly certificates: PartitionMap;
  readonly trustDomain: TrustDomain;
  readonly authorities: () => readonly Authority[];
}

export function namesOf({ reader, certificates, trustDomain, authorities }: NamesParts): NamesOf {
  const idOf = (...segments: readonly string[]): string => spiffeId(trustDomain, ...segments).uri;

  const holderId = (kind: CertificateKind, name: string, instance: string | undefined): string => {
    if (kind === 'server') return idOf('writ', 'server');
    if (kind === 'responder') return idOf('writ', 'ocsp');
    return instance === undefined ? idOf(kind, name) : idOf(kind, name, instance);
  };
  const ofAgent = async (name: string): Promise<string | undefined> => {
    const agent = isName(name) ? await readAgent(reader, name) : undefined;
    return agent === undefined ? undefined : idOf(agent.kind, name);
  };
  const ofInstance = async (id: string): Promise<string | undefined> => {
    const instance = await readInstance(reader, id);
    const agent = instance === undefined ? undefined : await ofAgent(instance.agent);
    return agent === undefined ? undefined : `${agent}/${id}`;
  };
  const ofCertificate = async (hex: string): Promise<SubjectNames | undefined> => {
    const row = await readCertificate(certificates, Buffer.from(hex, 'hex'));
    if (row === undefined) return undefined;
    const { kind, name, instance, issuer } = row;
    const authority = authorities().find(({ id }) => id === issuer);
    return {
      spiffeId: holderId(kind, name, instance),
      ...(authority === undefined ? {} : { issuer: formatName(authority.certificate.subject) }),
    };
  };

  const ofAuthority = async (id: string): Promise<SubjectNames | undefined> => {
    const certificate = (await readAuthorities(reader)).find((one) => one.id === id)?.certificate;
    if (certificate === undefined) return undefined;
    return { authority: id, issuer: formatName(certificate.issuer), serial: formatSerial(certificate.serial) };
  };

  return async (subject) => {
    const serial = serialIn(subject);
    if (serial !== undefined) return ofCertificate(serial);
    const [kind, id = ''] = subject.split(':', 2) as [string, string?];
    if (kind === 'authority') return ofAuthority(id);
    const found =
      kind === 'instance'
        ? await ofInstance(id)
        : kind === 'operator' && isName(id)
          ? idOf('operator', id)
          : kind === 'agent' || kind === 'service'
            ? await ofAgent(id)
            : undefined;
    return found === undefined ? undefined : { spiffeId: found };
  };
}
