import type { Approval } from '../approval/approval.ts';
import type { Wanted } from '../approval/request.ts';
import type { AccessRequest, BoundRequest, Caller, Verdict } from '../base/access.ts';
import { type AccessDecision, isWritError, WritError } from '../base/error.ts';
import { isId } from '../base/id.ts';
import type { Exchange } from '../http/route.ts';
import { type CanonicalValue, canonicalJson } from '../merkle/canonical-json.ts';

/** Opens a request for approval: the flow of `approval/`. */
export type AskApproval = (caller: Caller, wanted: Wanted) => Promise<Approval>;

/** Makes a requestable denial of what policy wants an approval for: `authzen/`. */
export type OfferAccess = (caller: Caller, refused: Omit<Wanted, 'reason'>) => AccessDecision | undefined;

/** Everything by which one request is told from another, all of it parsed. */
export interface Parameters {
  readonly method: string;
  /** The template, whose parameters are in `params`. */
  readonly path: string;
  readonly params: unknown;
  readonly query: unknown;
  readonly body: unknown;
}

/** A request that says something of approvals. */
export interface Binding {
  readonly bound: BoundRequest;
  /** What to throw in place of an error: where an approval was wanted, and asked for, it is opened and named. */
  translate(error: unknown, caller: Caller): Promise<unknown>;
}

/**
 * Reads the two headers by which a request names an approval (`Writ-Approval: <id>`) or asks for one
 * (`Writ-Request-Approval: reason=…&lifetime=…`, encoded as a query), or by which it prefers a refusal that AuthZEN knows
 * (`Prefer: access-request`, RFC 7240). Undefined where it has none. Throws `bad_request`.
 */
export function bindingOf(
  { headers }: Pick<Exchange, 'headers'>,
  parameters: Parameters,
  parts: {
    readonly repeated: () => Promise<boolean>;
    readonly ask: AskApproval | undefined;
    readonly offer?: OfferAccess | undefined;
  },
): Binding | undefined {
  const named = headers['writ-approval'];
  const asking = headers['writ-request-approval'];
  const prefers = parts.offer !== undefined && /(^|,)\s*access-request\s*(,|$)/.test(String(headers['prefer'] ?? ''));
  if (named === undefined && asking === undefined && !prefers) return undefined;
  if (named !== undefined && asking !== undefined) {
    throw bad('Writ-Request-Approval', 'An approval is named and asked for at once.', 'Send one of the two headers.');
  }
  if (named !== undefined && !isId(String(named))) {
    throw bad('Writ-Approval', 'The header is not the id of an approval.', 'Send the id as the listing shows it.');
  }
  const wish = asking === undefined ? undefined : parseWish(String(asking));
  const canonical = canonicalJson({ ...parameters } as CanonicalValue);
  let wanted: { request: AccessRequest; verdict: Extract<Verdict, { allowed: false }> } | undefined;
  return {
    bound: {
      parameters: canonical,
      ...(named === undefined ? {} : { approval: String(named) }),
      needs(request, verdict) {
        wanted ??= { request, verdict };
      },
      repeated: parts.repeated,
    },
    async translate(error, caller) {
      if (wanted === undefined || !isWritError(error, 'needs_approval')) return error;
      if (wish === undefined)
        return named === undefined
          ? offered(error, parts.offer?.(caller, { ...wanted, parameters: canonical }))
          : error;
      if (parts.ask === undefined) return error;
      const { id, needed, group, expiresAt, status } = await parts.ask(caller, {
        ...wanted,
        parameters: canonical,
        ...wish,
      });
      const expires = new Date(expiresAt).toISOString();
      const message =
        status === 'granted' ? 'It is agreed to.' : `${error.message.replace(/\.$/, '')}, who are asked as ${id}.`;
      return new WritError('needs_approval', message, {
        remedy: `Once it is granted, and until ${expires}, repeat the very same request with Writ-Approval: ${id} (command line: --approval ${id}).`,
        reasons: error.reasons,
        approval: { id, needed, group, expires_at: expires },
      });
    },
  };
}

/** The same refusal, with how consent is asked for. */
function offered(error: WritError, access: AccessDecision | undefined): WritError {
  if (access === undefined) return error;
  const { message, remedy, reasons, approval } = error;
  return new WritError('needs_approval', message, {
    ...{ reasons, access, cause: error },
    ...(remedy === undefined ? {} : { remedy }),
    ...(approval === undefined ? {} : { approval }),
  });
}

function parseWish(header: string): { readonly reason: string; readonly lifetime?: number } {
  const field = 'Writ-Request-Approval';
  const remedy = 'Send reason=…&lifetime=3600, percent-encoded; the lifetime in seconds may be left out.';
  if (header.length > 4096) throw bad(field, 'The header is too long.', remedy);
  let pairs: [string, string][];
  try {
    pairs = header.split('&').map((pair) => {
      const mark = pair.indexOf('=');
      return [pair.slice(0, mark), decodeURIComponent(pair.slice(mark + 1).replaceAll('+', ' '))];
    });
  } catch {
    throw bad(field, 'The header is not percent-encoded UTF-8.', remedy);
  }
  const wish = new Map(pairs);
  const known = [...wish.keys()].every((name) => name === 'reason' || name === 'lifetime');
  const [reason, lifetime] = [wish.get('reason'), wish.get('lifetime')];
  if (!known || wish.size !== pairs.length || reason === undefined)
    throw bad(field, 'The header gives no reason.', remedy);
  if (lifetime === undefined) return { reason };
  if (!/^[1-9]\d{0,8}$/.test(lifetime)) throw bad(field, 'The lifetime is not a whole number.', remedy);
  return { reason, lifetime: Number(lifetime) };
}

function bad(field: string, fault: string, remedy: string): WritError {
  return new WritError('bad_request', fault, { field, remedy });
}
