import { hash } from 'node:crypto';
import type { AccessRequest, Action, Caller, Facts, Verdict } from '../base/access.ts';
import { refusal } from '../base/demand.ts';
import { isWritError, WritError } from '../base/error.ts';
import { insertCertificate } from '../ca/certificates.ts';
import { prepareLeaf } from '../ca/prepare.ts';
import { formatSerial } from '../ca/serial.ts';
import { type SignedCertificate, signCertificate } from '../ca/sign.ts';
import { issuerCheck } from '../ca/store.ts';
import { type Batch, newBatch } from '../db/batch.ts';
import type { Idempotency } from '../http/idempotency.ts';
import { requirePolicyVersion } from '../policy/store.ts';
import { LATEST_SERIAL, setLatestSerial } from '../registry/instance.ts';
import { holdKey } from '../registry/key-in-use.ts';
import { type Csr, parseCsr, verifyCsr } from '../x509/csr.ts';
import { parseIpAddress } from '../x509/path/ip-address.ts';
import type { Holder } from './holder.ts';
import { type IssuedCertificate, issuedBefore, issuedFrom } from './issued.ts';
import { type Context, narrow } from './narrow.ts';
import type { IssuanceParts, Wish } from './parts.ts';
import { identityOf, type Refusal } from './refusals.ts';

/** What one flow knows and the others do not. */
export interface Order {
  readonly caller: Caller;
  readonly action: Extract<
    Action,
    'instance.enrol' | 'certificate.issue' | 'certificate.renew' | 'certificate.replace'
  >;
  /** As what the certificate is recorded. */
  readonly event: 'certificate.issued' | 'certificate.renewed' | 'certificate.replaced';
  /** DER. */
  readonly csr: Uint8Array;
  readonly wish: Wish;
  readonly idempotency?: Idempotency | undefined;
  /** The certificate on the strength of which this one is asked for. */
  readonly previous?: Uint8Array | undefined;
  /** Step 2. `fresh`: what is remembered may be out of date. Throws what the caller may be told. */
  holder(fresh: boolean): Promise<Holder>;
  /** Step 6, for what else the act does. */
  also?(batch: Batch, certificate: SignedCertificate): void | Promise<void>;
}

/** How long after the end of its last certificate a key still belongs to its holder. Milliseconds. */
export const KEY_KEPT = 3_600_000;

/**
 * The one way to a certificate: the seven steps of `docs/ISSUANCE.md`. Throws what the page names for each of them;
 * refusals are on record by then.
 */
export async function issueCertificate(order: Order, parts: IssuanceParts): Promise<IssuedCertificate> {
  // 1. Parse. The caller holds the private key; names in the request are ignored.
  const csr = parseCsr(order.csr);
  verifyCsr(csr);

  const attempt = { holder: undefined };
  try {
    const issued = (await certify(order, csr, parts, attempt)) ?? (await certify(order, csr, parts, attempt, true));
    if (issued !== undefined) return issued;
    throw new WritError('conflict', 'What the certificate rests on keeps changing.', {
      remedy: 'Repeat the request in a moment.',
    });
  } catch (error) {
    await recordRefusal(error, order, attempt.holder, parts);
    throw error;
  }
}

/**
 * Steps 2 to 7. Gives undefined when the commit found something changed that may still allow the request; then they are
 * gone through once more, on facts that are read `fresh`.
 */
async function certify(
  order: Order,
  csr: Csr,
  parts: IssuanceParts,
  attempt: { holder: Holder | undefined },
  fresh = false,
): Promise<IssuedCertificate | undefined> {
  const { caller, wish, idempotency } = order;

  // 2. Facts: who the certificate is for, and what it may say.
  await parts.refresh();
  const holder = await order.holder(fresh);
  attempt.holder = holder;

  // 3. Authorise, once. A repeat is authorised like any request and then gets the first answer.
  const request = { caller, action: order.action, resource: holder.resource, context: factsOf(holder, wish, csr) };
  const verdict = parts.authorize(request);
  if (!verdict.allowed) throw refused(request, verdict, holder);
  const first = await idempotency?.first();
  if (first?.kind === 'reference') return issuedBefore(first.reference, parts);
  if (holder.fault !== undefined) throw holder.fault;
  const context = narrow(holder.context, wish.scopes);

  // 4. Prepare: serial number, validity, bytes to be signed, lints. Out comes a token that works once.
  const issuer = parts.authority.issuer();
  const now = parts.clock.now();
  const token = prepareLeaf(
    issuer,
    holder.profile,
    {
      key: csr.publicKey,
      id: holder.id,
      ...(wish.lifetime === undefined ? {} : { lifetime: wish.lifetime }),
      ...(holder.until === undefined ? {} : { until: holder.until }),
      ...(wish.dnsNames === undefined ? {} : { dns: wish.dnsNames }),
      ...(wish.ipAddresses === undefined ? {} : { addresses: wish.ipAddresses.map(octetsOf) }),
      ...extensionOf(context),
    },
    { now, random: parts.random },
  );

  // 5. Sign. From here on a certificate exists in memory, and nobody has seen it.
  const certificate = await signCertificate(issuer, token);

  // 6. Commit: one batch, in which all that steps 2 and 3 rest on is looked at again.
  const batch = newBatch();
  idempotency?.keep(batch, { kind: 'reference', reference: formatSerial(certificate.serial) });
  holder.record(batch, { certificate, context, now });
  batch.checks.push(issuerCheck(issuer.id, certificate.issuedAt));
  requirePolicyVersion(batch, verdict.policyVersion);
  const spkiHash = hash('sha256', csr.publicKey.spki, 'buffer');
  holdKey(batch, spkiHash, holder.keyHolder, { now, keepUntil: certificate.expiresAt + KEY_KEPT });
  const row = rowOf(holder, certificate, spkiHash);
  insertCertificate(batch, row, batch.events.length);
  if (holder.hasPrevious && holder.instance !== undefined) setLatestSerial(batch, holder.instance, certificate.serial);
  const event = batch.events.push(eventOf(order, holder, certificate, verdict)) - 1;
  await order.also?.(batch, certificate);
  const commit = await parts.commit(batch);
  if (!commit.committed) {
    if (commit.refusal === 'conflict') return undefined;
    throw new WritError(commit.refusal, commit.reason, REMEDIES[commit.refusal] ?? {});
  }

  // 7. Answer: it is durable.
  return issuedFrom({ ...row, leaf: commit.firstLeaf + event }, certificate.der, parts);
}

function factsOf(holder: Holder, wish: Wish, csr: Csr): Facts {
  const { profile, context } = holder;
  return {
    ...holder.facts,
    profile: profile.name,
    lifetimeSeconds: wish.lifetime ?? profile.lifetime.default,
    dnsNames: wish.dnsNames ?? [],
    ipAddresses: wish.ipAddresses ?? [],
    keyAlgorithm: csr.publicKey.algorithm,
    scopes: wish.scopes ?? context.scopes,
    ...(context.workflow === undefined ? {} : { workflow: context.workflow }),
    profileMinSeconds: profile.lifetime.least,
    profileMaxSeconds: profile.lifetime.most,
    profileDnsNames: profile.dns.length > 0,
    profileIpAddresses: profile.networks.length > 0,
  };
}

/** Whom the guard refuses because nothing is issued to the holder at all is told the better reason. */
function refused(request: AccessRequest, verdict: Extract<Verdict, { allowed: false }>, holder: Holder): WritError {
  if (holder.fault !== undefined && verdict.rules[0] === 'guard.active') return holder.fault;
  return refusal(request, verdict);
}

function extensionOf({ workflow, scopes }: Context): { context?: { workflow?: string; scopes?: readonly string[] } } {
  if (workflow === undefined && scopes.length === 0) return {};
  return { context: { ...(workflow === undefined ? {} : { workflow }), ...(scopes.length === 0 ? {} : { scopes }) } };
}

function octetsOf(text: string, index: number): Uint8Array {
  const octets = parseIpAddress(text);
  if (octets !== undefined) return octets;
  throw new WritError('bad_request', 'This is not an IP address.', {
    field: `/ip_addresses/${index}`,
    remedy: 'Give addresses like 10.0.0.7 or fd00::7.',
  });
}

function rowOf(holder: Holder, certificate: SignedCertificate, spkiHash: Uint8Array) {
  const { kind, name, instance, profile, hasPrevious } = holder;
  const { serial, issuedAt, expiresAt, issuer } = certificate;
  return {
    serial,
    kind,
    name,
    ...(instance === undefined ? {} : { instance }),
    profile: profile.name,
    issuedAt,
    expiresAt,
    spkiHash,
    issuer,
    ...(hasPrevious && instance !== undefined ? { previous: { subquery: LATEST_SERIAL, param: instance } } : {}),
  };
}

function eventOf(order: Order, holder: Holder, certificate: SignedCertificate, verdict: Verdict) {
  const { event, caller, previous } = order;
  return {
    type: event,
    subjects: [...holder.subjects, `serial:${formatSerial(certificate.serial)}`],
    body: {
      caller: caller.id,
      issuer: certificate.issuer,
      profile: holder.profile.name,
      policy: verdict.policyVersion,
      rules: verdict.rules,
      ...(previous === undefined ? {} : { previous: formatSerial(previous) }),
      certificate: base64url(certificate.der),
    },
  };
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64url');
}

const REMEDIES: Readonly<Record<string, { remedy: string }>> = {
  key_in_use: { remedy: 'Make a new key pair where the agent runs, and ask again with a request for that.' },
  token_refused: { remedy: 'Ask for another join token.' },
};

/** Outcomes that are for the record. What else goes wrong is a malformed request, or the log's. */
const RECORDED: Readonly<Record<string, Refusal['type']>> = {
  denied: 'certificate.refused',
  needs_approval: 'certificate.refused',
  inactive: 'certificate.refused',
  revoked: 'certificate.refused',
  expired: 'certificate.refused',
  token_refused: 'token.refused',
  key_in_use: 'key.reuse_refused',
};

async function recordRefusal(
  error: unknown,
  { caller, action }: Order,
  holder: Holder | undefined,
  parts: IssuanceParts,
): Promise<void> {
  const type = isWritError(error) ? RECORDED[error.code] : undefined;
  if (type === undefined || !isWritError(error)) return;
  await parts.recordRefusal({
    type,
    by: holder?.evidence ?? identityOf(caller),
    code: error.code,
    subjects: holder?.subjects ?? [],
    body: { action, ...(error.reasons.length > 0 ? { reasons: error.reasons } : { reasons: [error.message] }) },
  });
}
