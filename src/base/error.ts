/**
 * The one error class and the closed list of its codes.
 *
 * A code is part of the public interface: it appears in problem documents and in `docs/errors.md`, which is generated
 * from this table. Callers switch on the code, never on the message. Expected outcomes (denied, expired, absent) inside
 * a flow are returned unions; `WritError` is for what the caller at hand cannot handle, and for bad input at an edge.
 */
export const ERROR_CODES = {
  // input
  bad_der: 'Bytes that are not strict DER, or not the structure that was expected there.',
  bad_pem: 'Text that is not the PEM that was expected.',
  bad_certificate: 'A certificate that breaks RFC 5280 or that Writ does not understand.',
  bad_csr: 'A certificate signing request that is malformed, uses a refused key, or fails proof of possession.',
  bad_spiffe_id: 'A SPIFFE ID or trust domain that breaks the SPIFFE-ID standard.',
  bad_request: 'A request body, query or header that does not have the documented shape.',
  bad_token: 'A join token that cannot be parsed. An unknown, spent or expired one is `token_refused`.',
  bad_cursor: 'A page cursor that this server did not make, or that belongs to another listing.',
  bad_config: 'A configuration value, flag or file that cannot be used.',
  bad_policy: 'A policy set with errors or warnings; nothing was published.',
  bad_note: 'A signed note, checkpoint, tile or proof that is malformed or does not verify.',
  too_large: 'Input beyond a stated limit of size, depth or count.',
  method_not_allowed: 'The path exists, but not for this HTTP method; the Allow header names those it has.',
  unsupported_media_type: 'The body is not of the media type that the route takes.',
  request_timeout: 'The request did not arrive in time.',
  // outcomes
  not_authenticated: 'The route needs a client certificate, and none that is valid was presented.',
  denied: 'Policy or the fixed guard said no. The reasons are in the answer.',
  needs_approval: 'Policy puts this behind an approval that has not been given.',
  token_refused: 'The join token is unknown, spent, expired or bound to something else.',
  evidence_refused: 'The evidence is not believed, or nobody is let in on it.',
  key_in_use: 'The public key is already certified for another instance.',
  not_found: 'Nothing by that name exists, or the caller may not know of it.',
  conflict: 'The state changed, or the name is taken.',
  idempotency_mismatch: 'The idempotency key was used before with another request body.',
  rate_limited: 'Too many requests; the answer says when to try again.',
  revoked: 'The certificate, instance or agent was revoked; that is for ever.',
  inactive: 'The agent, instance or owner is not active, so nothing is issued for it.',
  expired: 'What the request rests on (token, certificate, authority) is past its time.',
  // state of the installation
  wrong_passphrase: 'The passphrase does not open the sealed keys.',
  unsafe_permissions: 'A secret file or directory can be read by others than its owner.',
  locked: 'Another server holds this data directory.',
  newer_version: 'The data was written by a newer version of Writ.',
  behind_anchor: 'The database is older than its anchor: a backup was restored or a tail was lost.',
  ledger_corrupt: 'The ledger contradicts itself: a hash, signature or index does not fit.',
  storage_failed: 'The database refused a write (disk full, read-only, connection lost). Nothing was released.',
  unsafe_database: 'The database is set up so that a crash can lose acknowledged commits.',
  lint_failed: 'A certificate that was about to be signed broke one of the lints; the key was not used.',
  signer_failed: 'A signing key could not be used.',
  unavailable: 'The server is starting, stopping or overloaded.',
  clock: 'The clock cannot be trusted: it is behind what is already recorded.',
  internal: 'A defect in Writ. The log has the detail under the request id.',
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/** The consent that something waits for. */
export interface WantedApproval {
  /** So many people of this group. */
  readonly needed: number;
  readonly group: string;
  /** Of the request for it, and until when it stands (RFC 3339). */
  readonly id?: string;
  readonly expires_at?: string;
}

/** A decision of AuthZEN that says no, and how consent is asked for (`authzen/denial.ts`). */
export interface AccessDecision {
  readonly decision: false;
  readonly context: Readonly<Record<string, unknown>>;
  readonly subject: { readonly type: string; readonly id: string };
  readonly resource: { readonly type: string; readonly id: string };
  readonly action: { readonly name: string };
}

/** What a problem document says in place of the code's own, where a protocol has its own types. */
export interface ProblemType {
  readonly type: string;
  readonly title: string;
  readonly status: number;
}

/** What an error can say beyond its message, all of it fit for the caller's eyes. */
export interface ErrorDetail {
  /** Where: a JSON pointer, flag, header or byte offset, e.g. `/csr`, `--trust-domain`, `offset 17`. */
  readonly field?: string;
  /** What would be right, or what to do next. One sentence. */
  readonly remedy?: string;
  /** For `denied` and `needs_approval`: which rules said so. */
  readonly reasons?: readonly string[];
  /** For `needs_approval`: whose consent, and the request for it where there is one. */
  readonly approval?: WantedApproval;
  /** For `needs_approval`, where the caller prefers it: the same as a requestable denial. */
  readonly access?: AccessDecision;
  readonly as?: ProblemType;
  /** For `rate_limited` and `unavailable`: milliseconds after which it may be tried again. */
  readonly retryAfter?: number;
  readonly cause?: unknown;
}

/**
 * Every error that Writ throws on purpose. The message and the detail must never hold a key, token, passphrase or
 * other secret, nor the rejected input itself.
 */
export class WritError extends Error {
  override readonly name = 'WritError';
  readonly code: ErrorCode;
  readonly field: string | undefined;
  readonly remedy: string | undefined;
  readonly reasons: readonly string[];
  readonly approval: WantedApproval | undefined;
  readonly access: AccessDecision | undefined;
  readonly as: ProblemType | undefined;
  readonly retryAfter: number | undefined;

  constructor(code: ErrorCode, message: string, detail: ErrorDetail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.code = code;
    this.field = detail.field;
    this.remedy = detail.remedy;
    this.reasons = detail.reasons ?? [];
    this.approval = detail.approval;
    this.access = detail.access;
    this.as = detail.as;
    this.retryAfter = detail.retryAfter;
  }
}

/** True when `value` is a `WritError`, with that code when one is given. */
export function isWritError(value: unknown, code?: ErrorCode): value is WritError {
  return value instanceof WritError && (code === undefined || value.code === code);
}
