const CAEP = 'https://schemas.openid.net/secevent/caep/event-type';
const SSF = 'https://schemas.openid.net/secevent/ssf/event-type';

/* Event types by their URIs (CAEP 1.0 §3, SSF 1.0 §8.1.4.1 and §8.1.5). Wire values; they never change. */
export const SESSION_REVOKED: string = `${CAEP}/session-revoked`;
export const CREDENTIAL_CHANGE: string = `${CAEP}/credential-change`;
export const RISK_LEVEL_CHANGE: string = `${CAEP}/risk-level-change`;
export const VERIFICATION: string = `${SSF}/verification`;
export const STREAM_UPDATED: string = `${SSF}/stream-updated`;

/** What streams can be asked to carry. */
export const EVENTS_SUPPORTED: readonly string[] = [SESSION_REVOKED, CREDENTIAL_CHANGE];

/** One row of the feed of stops, as far as others are told of it. */
export interface Stop {
  /** Index of its ledger entry. */
  readonly leaf: number;
  /** The same of the first entry of its act. */
  readonly act: number;
  /** Type of the entry, e.g. `certificate.revoked`. */
  readonly type: string;
  readonly effect: 'stop' | 'hold' | 'release';
  /** Milliseconds. */
  readonly at: number;
  /** What it is about, as `kind:id`. */
  readonly subjects: readonly string[];
}

/** What one subject of a stop is called outside. */
export type SubjectNames = HolderNames | AuthorityNames;

interface HolderNames {
  /** SPIFFE ID of the instance, agent, service or operator; for a certificate of its holder. */
  readonly spiffeId: string;
  /** For a certificate: distinguished name of its issuer (RFC 4514). */
  readonly issuer?: string;
}

interface AuthorityNames {
  /** Its id. The SPIFFE ID in its certificate is that of the whole trust domain, which is not what was stopped. */
  readonly authority: string;
  /** Of its certificate: distinguished name of the authority above (RFC 4514), and the serial number in hex. */
  readonly issuer: string;
  readonly serial: string;
}

/** The claims of a security event token but for `iss`, `aud`, `jti` and `iat`, which are those of a stream. */
export interface SetContent {
  readonly type: string;
  readonly claims: {
    readonly txn?: string;
    readonly sub_id: Readonly<Record<string, string>>;
    readonly events: Readonly<Record<string, object>>;
  };
}

/**
 * What others are told of one subject of a stop; undefined when nothing. A certificate's end is `credential-change`: its
 * holder may well go on under another; an authority's end is that of its own certificate. The end of an instance, agent or
 * operator is `session-revoked`, and so is every hold: what is open is to be cut, and the certificate may be good again.
 * That a hold ended is no event of CAEP: who wants to know follows the revocation feed.
 */
export function contentOf(stop: Stop, subject: string, names: SubjectNames): SetContent | undefined {
  if (stop.effect === 'release') return undefined;
  const ofAuthority = 'authority' in names;
  const serial = ofAuthority ? names.serial : serialIn(subject);
  // A session's end has no members for a certificate, so it is named here.
  const which = ofAuthority ? `: certificate ${names.serial} of ${names.issuer}` : '';
  const common = {
    // CAEP 1.0 §2: seconds.
    event_timestamp: Math.floor(stop.at / 1000),
    reason_admin: { en: `${stop.type}, ledger entry ${stop.leaf}${which}` },
  };
  const claims = {
    txn: `writ:${stop.act}`,
    sub_id: ofAuthority
      ? { format: 'opaque', id: `authority:${names.authority}` }
      : { format: 'uri', uri: names.spiffeId },
  };
  if (serial === undefined || stop.effect === 'hold') {
    return { type: SESSION_REVOKED, claims: { ...claims, events: { [SESSION_REVOKED]: common } } };
  }
  const change = {
    credential_type: 'x509',
    change_type: 'revoke',
    ...(names.issuer === undefined ? {} : { x509_issuer: names.issuer }),
    x509_serial: serial,
    ...common,
  };
  return { type: CREDENTIAL_CHANGE, claims: { ...claims, events: { [CREDENTIAL_CHANGE]: change } } };
}

/** The serial number in hex that a subject names, if it names a certificate. */
export function serialIn(subject: string): string | undefined {
  return subject.startsWith('serial:') ? subject.slice('serial:'.length) : undefined;
}
