import { X509Certificate } from 'node:crypto';
import { isWritError, WritError } from '../../base/error.ts';
import type { Evidence } from '../../wire/attestation.ts';

/**
 * The server tells a stranger one sentence, whatever is wrong. This adds what the bearer knows without it: whom a token was
 * made out to and until when, and what is good once alone. Errors of other kinds stay as they are.
 */
export function explainRefusal(error: unknown, evidence: Evidence, now: number): unknown {
  if (!isWritError(error, 'evidence_refused') || evidence.kind === 'join-token') return error;
  const { kind, attestor } = evidence;
  return new WritError(error.code, error.message, {
    ...(error.field === undefined ? {} : { field: error.field }),
    reasons: [
      `It was shown to the attestor "${attestor}", as one of the kind ${kind}.`,
      ...('token' in evidence ? tokenReasons(evidence.token, now) : []),
      ...(kind === 'x509pop' ? chainReasons(evidence.chain, now) : []),
      ...(kind === 'tpm' && evidence.chain === undefined ? [NO_CERTIFICATE] : []),
      ...(ONCE[kind] === undefined ? [] : [ONCE[kind]]),
    ],
    remedy: `An operator sees why with "writ ledger list --subject attestor:${attestor}", and with "writ attestor show ${attestor}" what is asked for.`,
    cause: error,
  });
}

const NO_CERTIFICATE =
  'The module has no certificate for its endorsement key. An attestor with roots refuses it; one can know it by its key.';

const TOKEN_ONCE = 'A token lets in once, unless the attestor was added with reusable=true.';

/** Whoever starts a program again has the same evidence again. */
const ONCE: Readonly<Record<string, string>> = {
  oidc: TOKEN_ONCE,
  k8s: TOKEN_ONCE,
  gcp: 'A token lets in once; the metadata service keeps it for some time. An identity that is kept in a directory (store) needs none.',
  aws: 'A document of AWS lets its machine in once, soon after its launch. Keep the identity in a directory (store), or let the machine in by a join token.',
};

/** What a token says of itself. Its subject, which may be a person, and its other claims stay where they are. */
function tokenReasons(token: string, now: number): string[] {
  const { iss, aud, exp } = claimsOf(token);
  const audience = [aud].flat().filter((one) => typeof one === 'string');
  const until = typeof exp === 'number' && exp < 8.64e12 ? exp * 1000 : undefined;
  return [
    ...(typeof iss === 'string' ? [`The token is of the issuer ${printable(iss)}.`] : []),
    ...(audience.length > 0 ? [`It is made out to the audience ${printable(audience.join(', '))}.`] : []),
    ...(until === undefined || until > now
      ? []
      : [`By the clock of this machine it has expired, at ${new Date(until).toISOString()}.`]),
  ];
}

/** Of the bearer's own certificate, and those that it brings. */
function chainReasons(chain: readonly string[], now: number): string[] {
  const ended = chain
    .map((pem) => Date.parse(new X509Certificate(pem).validTo))
    .filter((until) => until < now)
    .map(
      (until) => `By the clock of this machine a certificate of it has expired, at ${new Date(until).toISOString()}.`,
    );
  return [`It brought ${chain.length} ${chain.length === 1 ? 'certificate' : 'certificates'}.`, ...ended];
}

function claimsOf(token: string): Readonly<Record<string, unknown>> {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'));
    return typeof claims === 'object' && claims !== null ? (claims as Readonly<Record<string, unknown>>) : {};
  } catch {
    return {};
  }
}

/** For a terminal, whoever wrote it. */
function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 200);
}
