import { BACKDATING, wholeSecond } from '../ca/certificate/prepare.ts';
import { REASONS } from '../ca/revocation-cause.ts';
import { encodePem } from '../der/pem.ts';
import { certifiedId, type IssuedCertificate } from '../issuance/issued.ts';
import type { ReportedCertificate } from '../report/holds.ts';
import type { TrustDomain } from '../spiffe-id/trust-domain.ts';
import type * as wire from '../wire/certificate.ts';
import { given, givenTime, hexText, timeText } from './render.ts';

/** The answer to a request for a certificate. `pemOf` is for its chain. */
export function issuedAnswer(issued: IssuedCertificate, pemOf: (der: Uint8Array) => string): wire.IssuedCertificate {
  const { serial, id, kind, name, instance, profile, issuedAt, expiresAt, der, chain, leaf } = issued;
  return {
    serial: hexText(serial),
    spiffe_id: id,
    kind,
    name,
    ...given('instance', instance),
    profile,
    certificate: encodePem('CERTIFICATE', der),
    chain: chain.map(pemOf),
    not_before: timeText(wholeSecond(issuedAt - BACKDATING)),
    not_after: timeText(wholeSecond(expiresAt)),
    // Two thirds leave a third for everything that can go wrong with a renewal.
    renew_after: timeText(issuedAt + Math.floor(((expiresAt - issuedAt) * 2) / 3)),
    ledger_index: leaf,
  };
}

/** A certificate as its row has it, judged at `now`. */
export function statusAnswer(row: ReportedCertificate, trustDomain: string, now: number): wire.CertificateStatus {
  const { serial, kind, name, instance, profile, issuedAt, expiresAt, revoked, held, heldThen, previous, leaf } = row;
  const living = held === undefined ? 'active' : 'held';
  return {
    serial: hexText(serial),
    spiffe_id: certifiedId(trustDomain as TrustDomain, row),
    kind,
    name,
    ...given('instance', instance),
    profile,
    status: revoked !== undefined ? 'revoked' : expiresAt <= now ? 'expired' : living,
    issued_at: timeText(issuedAt),
    not_after: timeText(wholeSecond(expiresAt)),
    ...givenTime('revoked_at', revoked?.at),
    ...given('cause', revoked?.cause),
    ...given('reason', revoked === undefined ? undefined : reasonName(revoked.reason)),
    ...givenTime('held_since', held?.since),
    ...given('held_then', heldThen),
    ...given('previous', previous === undefined ? undefined : hexText(previous)),
    ledger_index: leaf,
  };
}

/** Gives the PEM of certificates that are sent again and again: authorities above a leaf, roots. Made once for each. */
export function pemOfMany(): (der: Uint8Array) => string {
  const known = new WeakMap<Uint8Array, string>();
  return (der) => {
    let pem = known.get(der);
    if (pem === undefined) {
      pem = encodePem('CERTIFICATE', der);
      known.set(der, pem);
    }
    return pem;
  };
}

function reasonName(code: number): string {
  return Object.entries(REASONS).find(([, number]) => number === code)?.[0] ?? String(code);
}

const EXAMPLE_PEM = '-----BEGIN CERTIFICATE-----\nMIIB…\n-----END CERTIFICATE-----\n';

export const EXAMPLE_CSR = '-----BEGIN CERTIFICATE REQUEST-----\nMIHG…\n-----END CERTIFICATE REQUEST-----\n';

export const EXAMPLE_ISSUED: wire.IssuedCertificate = {
  serial: '019a3c5b7e0000000e10a1b2c3d4e5f607182930',
  spiffe_id: 'spiffe://agents.example.com/agent/planner/01kaj8x5y7zq4m2n6p8r0t2v4w',
  kind: 'agent',
  name: 'planner',
  instance: '01kaj8x5y7zq4m2n6p8r0t2v4w',
  profile: 'agent',
  certificate: EXAMPLE_PEM,
  chain: [EXAMPLE_PEM, EXAMPLE_PEM],
  not_before: '2026-11-22T14:02:52.000Z',
  not_after: '2026-11-22T15:03:22.000Z',
  renew_after: '2026-11-22T14:43:22.000Z',
  ledger_index: 48_211,
};

export const EXAMPLE_STATUS: wire.CertificateStatus = {
  serial: EXAMPLE_ISSUED.serial,
  spiffe_id: EXAMPLE_ISSUED.spiffe_id,
  kind: 'agent',
  name: 'planner',
  instance: '01kaj8x5y7zq4m2n6p8r0t2v4w',
  profile: 'agent',
  status: 'revoked',
  issued_at: '2026-11-22T14:03:22.481Z',
  not_after: '2026-11-22T15:03:22.000Z',
  revoked_at: '2026-11-22T14:30:00.123Z',
  cause: 'key_theft',
  reason: 'keyCompromise',
  ledger_index: 48_211,
};
