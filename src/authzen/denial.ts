import { createCipheriv, createDecipheriv } from 'node:crypto';
import type { Wanted } from '../approval/request.ts';
import type { Caller } from '../base/access.ts';
import { type AccessDecision, WritError } from '../base/error.ts';
import { newId } from '../base/id.ts';
import type { Random } from '../base/random.ts';
import type { AccessSubmission } from '../wire/access-task.ts';
import { refused } from './problem.ts';

/** What was refused and can be asked for. */
export type Refused = Pick<Wanted, 'request' | 'verdict' | 'parameters'>;

/** What makes and opens binding tokens. */
export interface DenialMeans {
  /** 32 octets that all processes of this installation have, and nobody else. */
  readonly secret: () => Uint8Array;
  /** Where submissions go: `https://host:port/access/v1/requests`. */
  readonly endpoint: () => string;
  readonly now: () => number;
  readonly random: Random;
}

/** Milliseconds that a denial can be submitted. */
const FRESH_MS = 600_000;

/** Characters of the longest request that a token carries; a longer one is asked for with the header. */
const LONGEST = 32_768;

/** What a token holds. It is opened by Writ alone. */
interface Binding extends Refused {
  readonly caller: string;
  readonly evaluation: string;
  readonly expires: string;
}

/**
 * A refusal as a requestable denial (Access Request and Approval Profile, "Requestable Denial Context"). The binding token
 * holds the very request, encrypted: nobody but the caller can submit it, nor any other in its place. Undefined for a request
 * that is too long to be carried about.
 */
export function requestable(
  caller: Caller,
  { request, verdict, parameters }: Refused,
  means: DenialMeans,
): AccessDecision | undefined {
  if (parameters.length > LONGEST) return undefined;
  const now = means.now();
  const evaluation = newId(now, means.random);
  const expires = new Date(now + FRESH_MS).toISOString();
  const { bound: _, ...who } = request.caller;
  const binding: Binding = {
    ...{ caller: caller.id, evaluation, expires, parameters },
    request: { ...request, caller: { kind: who.kind, id: who.id } },
    verdict,
  };
  const { needsApproval } = verdict;
  return {
    decision: false,
    context: {
      evaluation_id: evaluation,
      evaluated_at: new Date(now).toISOString(),
      reason: 'approval_required',
      access_request: {
        endpoint: means.endpoint(),
        template: verdict.rules[0] ?? '',
        expires_at: expires,
        binding_token: close(JSON.stringify(binding), means),
        display: {
          title: `${request.action} needs an approval`,
          description: `${needsApproval?.count} of ${needsApproval?.group} have to agree.`,
        },
      },
    },
    subject: subjectOf(caller),
    resource: { type: request.resource.type, id: request.resource.id },
    action: { name: request.action },
  };
}

/**
 * What a submission asks for, as the request was refused. Throws what the profile has for it: not requestable, another
 * binding, or too late.
 */
export function openDenial(caller: Caller, submission: AccessSubmission, means: DenialMeans): Refused {
  const { denial } = submission;
  if (denial.binding_token === undefined) {
    throw refused('not_requestable', 'The denial has no binding token.', 'Echo what the refusal had.');
  }
  const text = open(denial.binding_token, means);
  const binding = text === undefined ? undefined : (JSON.parse(text) as Binding);
  if (binding === undefined || !binds(binding, caller, submission)) {
    throw refused('invalid_denial_binding', 'The submission is not bound to that denial.', 'Echo it unchanged.');
  }
  if (Date.parse(binding.expires) <= means.now()) {
    throw refused(
      'expired_denial',
      'The denial is too old.',
      'Repeat the request, and submit what that is refused with.',
    );
  }
  // Who asks is the caller of now, whose certificate was looked at for this request.
  const { bound: _, ...who } = caller;
  return { request: { ...binding.request, caller: who }, verdict: binding.verdict, parameters: binding.parameters };
}

function binds(
  { caller: holder, request, evaluation, expires }: Binding,
  caller: Caller,
  given: AccessSubmission,
): boolean {
  const { subject, resource, action, denial } = given;
  const own = subjectOf(caller);
  return (
    holder === caller.id &&
    subject.type === own.type &&
    subject.id === own.id &&
    resource.type === request.resource.type &&
    resource.id === request.resource.id &&
    action.name === request.action &&
    denial.expires_at === expires &&
    (denial.evaluation_id === undefined || denial.evaluation_id === evaluation)
  );
}

function subjectOf({ kind, id }: Caller): { readonly type: string; readonly id: string } {
  return { type: kind, id };
}

const NONCE = 12;
const TAG = 16;

/** AES-256-GCM: nonce, ciphertext, tag. */
function close(text: string, { secret, random }: DenialMeans): string {
  const nonce = random(NONCE);
  const cipher = createCipheriv('aes-256-gcm', secret(), nonce);
  return Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString('base64url');
}

function open(token: string, { secret }: DenialMeans): string | undefined {
  const octets = Buffer.from(token, 'base64url');
  if (octets.length < NONCE + TAG || octets.toString('base64url') !== token) return undefined;
  const decipher = createDecipheriv('aes-256-gcm', secret(), octets.subarray(0, NONCE), { authTagLength: TAG });
  decipher.setAuthTag(octets.subarray(-TAG));
  const text = decipher.update(octets.subarray(NONCE, -TAG));
  try {
    decipher.final();
    return text.toString('utf8');
  } catch {
    return undefined;
  }
}

/** Why, and until when, as the profile lets a submission say it. Throws `bad_request`. */
export function wishOf(
  { context = {}, requested_access: wish = {} }: AccessSubmission,
  now: number,
): { readonly reason: string; readonly lifetime?: number } {
  const reason = context['business_justification'];
  if (typeof reason !== 'string') {
    throw new WritError('bad_request', 'The submission does not say why.', {
      field: '/context/business_justification',
      remedy: 'Say it in one line: those who are asked read it.',
    });
  }
  const until = wish.requested_until;
  return until === undefined ? { reason } : { reason, lifetime: Math.floor((Date.parse(until) - now) / 1000) };
}
