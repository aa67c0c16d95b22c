import * as z from 'zod';
import { PAGE_MEMBERS, type Page, type PageQuery, pageOf } from './page.ts';
import { type Runtime, runtime } from './runtime.ts';
import { type Schema, schemaOf } from './schema.ts';
import { type StopOrigin, stopOrigin } from './stop.ts';
import {
  csr,
  dnsNames,
  id,
  ipAddresses,
  lifetime,
  name,
  pastedSerial,
  pem,
  scopes,
  serial,
  spiffeId,
  time,
} from './text.ts';

/** What every request for a certificate may say beside its CSR. Names in the CSR itself are ignored. */
export interface Wanted {
  readonly csr: string;
  readonly lifetime_seconds?: number;
  readonly dns_names?: readonly string[];
  readonly ip_addresses?: readonly string[];
  /** Narrower than those of the instance; they narrow it from here on. */
  readonly scopes?: readonly string[];
}

const wanted = {
  csr: csr.describe('PEM, or base64 of the DER.'),
  lifetime_seconds: lifetime.exactOptional(),
  dns_names: dnsNames.exactOptional(),
  ip_addresses: ipAddresses.exactOptional(),
  scopes: scopes.exactOptional(),
};

/** Lets a new instance in, on the evidence of a join token. */
export interface Enrol extends Wanted {
  readonly token: string;
}

export const enrol: Schema<Enrol> = schemaOf<Enrol>()(
  z.strictObject({ token: z.string().min(1).max(1024), ...wanted }),
);

/** For an instance that cannot ask by itself. */
export interface IssueCertificate extends Wanted {
  readonly instance: string;
}

export const issueCertificate: Schema<IssueCertificate> = schemaOf<IssueCertificate>()(
  z.strictObject({ instance: id, ...wanted }),
);

/** From an instance that was let in by a trusted platform module: that the module is still there. */
export interface ModuleSignature {
  /** Of `POST /v1/attestation/challenges`, for the attestor that let it in. */
  readonly challenge: string;
  /** Base64 of a TPMT_SIGNATURE by the module's key over the octets that `X509popEvidence` signs. */
  readonly proof: string;
}

const moduleSignature = z.strictObject({
  challenge: z.string().min(1).max(256),
  proof: z
    .string()
    .min(1)
    .max(4096)
    .regex(/^[A-Za-z0-9+/]+={0,2}$/, 'Give base64 without line breaks.'),
});

/** For the instance whose certificate is presented. */
export interface RenewCertificate extends Wanted {
  readonly tpm?: ModuleSignature;
  /** What the runtime says now; where it is not what was attested, the instance is quarantined. */
  readonly runtime?: Runtime;
}

export const renewCertificate: Schema<RenewCertificate> = schemaOf<RenewCertificate>()(
  z.strictObject({ ...wanted, runtime: runtime.exactOptional(), tpm: moduleSignature.exactOptional() }),
);

/** As a renewal, and the certificate before is revoked. `serial`: another than the one presented. */
export interface ReplaceCertificate extends Wanted {
  readonly serial?: string;
  readonly tpm?: ModuleSignature;
}

export const replaceCertificate: Schema<ReplaceCertificate> = schemaOf<ReplaceCertificate>()(
  z.strictObject({ serial: pastedSerial.exactOptional(), tpm: moduleSignature.exactOptional(), ...wanted }),
);

type SubjectKind = 'agent' | 'service' | 'operator' | 'server' | 'responder';

/** The answer to a request for a certificate. */
export interface IssuedCertificate {
  readonly serial: string;
  readonly spiffe_id: string;
  readonly kind: SubjectKind;
  /** Of the agent, service or operator; `server` and `responder` for Writ's own. */
  readonly name: string;
  readonly instance?: string;
  readonly profile: string;
  readonly certificate: string;
  /** What is sent after the certificate: issuing authority first, without the root. */
  readonly chain: readonly string[];
  /** The roots, all of them. With an enrolment and a renewal, so that nothing else needs to be fetched. */
  readonly bundle?: readonly string[];
  readonly not_before: string;
  readonly not_after: string;
  /** When to renew: at two thirds of its life. */
  readonly renew_after: string;
  readonly ledger_index: number;
}

export const issuedCertificate: Schema<IssuedCertificate> = schemaOf<IssuedCertificate>()(
  z.strictObject({
    serial,
    spiffe_id: spiffeId,
    kind: z.enum(['agent', 'service', 'operator', 'server', 'responder']),
    name,
    instance: id.exactOptional(),
    profile: name,
    certificate: pem,
    chain: z.array(pem).max(8),
    bundle: z.array(pem).max(8).exactOptional(),
    not_before: time,
    not_after: time,
    renew_after: time,
    ledger_index: z.int().min(0),
  }),
);

/** A certificate as it stands. */
export interface CertificateStatus {
  readonly serial: string;
  readonly spiffe_id: string;
  readonly kind: SubjectKind;
  readonly name: string;
  readonly instance?: string;
  readonly profile: string;
  /** `held`: quarantined, which can be lifted again. */
  readonly status: 'active' | 'held' | 'expired' | 'revoked';
  readonly issued_at: string;
  readonly not_after: string;
  readonly revoked_at?: string;
  readonly cause?: string;
  readonly reason?: string;
  readonly held_since?: string;
  /** In an answer about an instant: it was quarantined then. */
  readonly held_then?: boolean;
  /** The certificate that the same instance got before this one. */
  readonly previous?: string;
  readonly ledger_index: number;
}

const status = {
  serial,
  spiffe_id: spiffeId,
  kind: z.enum(['agent', 'service', 'operator', 'server', 'responder']),
  name,
  instance: id.exactOptional(),
  profile: name,
  status: z.enum(['active', 'held', 'expired', 'revoked']),
  issued_at: time,
  not_after: time,
  revoked_at: time.exactOptional(),
  cause: z.string().max(64).exactOptional(),
  reason: z.string().max(64).exactOptional(),
  held_since: time.exactOptional(),
  held_then: z.boolean().exactOptional(),
  previous: serial.exactOptional(),
  ledger_index: z.int().min(0),
};

export const certificateStatus: Schema<CertificateStatus> = schemaOf<CertificateStatus>()(z.strictObject(status));

/** A certificate as it stands, with its bytes. */
export interface Certificate extends CertificateStatus {
  readonly certificate: string;
  readonly chain: readonly string[];
  /** Of one that is revoked or held. */
  readonly stopped?: StopOrigin;
}

export const certificate: Schema<Certificate> = schemaOf<Certificate>()(
  z.strictObject({ ...status, certificate: pem, chain: z.array(pem).max(8), stopped: stopOrigin.exactOptional() }),
);

export const certificatePage: Schema<Page<CertificateStatus>> = pageOf(certificateStatus);

/** Whose certificates. */
export interface WhoseQuery extends PageQuery {
  readonly agent?: string;
  readonly service?: string;
  readonly instance?: string;
}

const whose = {
  agent: name.exactOptional(),
  service: name.exactOptional(),
  instance: id.exactOptional(),
  ...PAGE_MEMBERS,
};

export interface CertificateQuery extends WhoseQuery {
  readonly profile?: string;
  readonly status?: CertificateStatus['status'];
}

export const certificateQuery: Schema<CertificateQuery> = schemaOf<CertificateQuery>()(
  z.strictObject({
    ...whose,
    profile: name.exactOptional(),
    status: z.enum(['active', 'held', 'expired', 'revoked']).exactOptional(),
  }),
);

/** Valid at an instant: issued, unexpired and unrevoked then. */
export interface AtQuery extends WhoseQuery {
  readonly time: string;
}

export const atQuery: Schema<AtQuery> = schemaOf<AtQuery>()(z.strictObject({ time, ...whose }));
