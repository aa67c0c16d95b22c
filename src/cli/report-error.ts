import { styleText } from 'node:util';
import { type ErrorCode, isWritError, type WritError } from '../base/error.ts';
import { type Command, EXIT, type ExitCode } from './command.ts';
import type { Writer } from './terminal.ts';
import { typedName } from './typed-name.ts';

/** Exit codes that scripts may rely on; every other error is 1. */
const EXIT_OF: Partial<Record<ErrorCode, ExitCode>> = {
  bad_request: EXIT.usage,
  bad_config: EXIT.usage,
  bad_cursor: EXIT.usage,
  bad_token: EXIT.usage,
  bad_csr: EXIT.usage,
  bad_der: EXIT.usage,
  bad_pem: EXIT.usage,
  bad_spiffe_id: EXIT.usage,
  too_large: EXIT.usage,
  not_found: EXIT.notFound,
  not_authenticated: EXIT.notAuthenticated,
  denied: EXIT.denied,
  token_refused: EXIT.denied,
  evidence_refused: EXIT.denied,
  revoked: EXIT.denied,
  inactive: EXIT.denied,
  expired: EXIT.denied,
  needs_approval: EXIT.needsApproval,
  bad_policy: EXIT.findings,
  bad_note: EXIT.findings,
  ledger_corrupt: EXIT.findings,
  conflict: EXIT.conflict,
  idempotency_mismatch: EXIT.conflict,
  key_in_use: EXIT.conflict,
  locked: EXIT.conflict,
};

/** The exit code of a command that ends with such an error. */
export function exitCodeOf(code: ErrorCode): ExitCode {
  return EXIT_OF[code] ?? EXIT.failed;
}

interface ReportOptions {
  readonly json: boolean;
  readonly debug: boolean;
  readonly colour: boolean;
  readonly stderr: Writer;
  /** What ran. Undefined: the line was not understood. */
  readonly command: Command | undefined;
}

/**
 * Writes an error as `error: what (where, as it was typed)`, its reasons, and `next: what to do`; with `json` as one object,
 * where the field is the server's own. An error that is none of ours is a defect: it is named as such, its stack only with
 * `debug`.
 */
export function reportError(error: unknown, { json, debug, colour, stderr, command }: ReportOptions): ExitCode {
  const mark = colour ? styleText('red', 'error:', { validateStream: false }) : 'error:';
  if (!isWritError(error)) {
    const text = error instanceof Error ? ((debug ? error.stack : undefined) ?? error.message) : 'unknown';
    if (json) stderr.write(`${JSON.stringify({ error: { code: 'internal', message: text } })}\n`);
    else
      stderr.write(`${mark} a defect in writ: ${text}\nnext: run again with WRIT_DEBUG=1 and report what it prints\n`);
    return EXIT.failed;
  }
  if (json) stderr.write(`${JSON.stringify({ error: toJson(error) })}\n`);
  else {
    const { field } = error;
    const where = field === undefined || command === undefined ? field : typedName(field, command);
    stderr.write(`${mark} ${error.message}${where === undefined ? '' : ` (${where})`}\n`);
    for (const reason of error.reasons) stderr.write(`  - ${reason}\n`);
    if (error.remedy !== undefined) stderr.write(`next: ${error.remedy}\n`);
    if (debug) stderr.write(`${error.stack}\n`);
  }
  return exitCodeOf(error.code);
}

function toJson(error: WritError): Record<string, unknown> {
  return {
    code: error.code,
    message: error.message,
    ...(error.field === undefined ? {} : { field: error.field }),
    ...(error.remedy === undefined ? {} : { next: error.remedy }),
    ...(error.reasons.length === 0 ? {} : { reasons: error.reasons }),
    ...(error.approval === undefined ? {} : { approval: error.approval }),
  };
}
