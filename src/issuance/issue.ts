import { WritError } from '../base/error.ts';
import { sha256 } from '../base/sha256.ts';
import { issuerCheck, responderIssuerCheck } from '../ca/authority/store.ts';
import { prepareLeaf } from '../ca/certificate/prepare.ts';
import { formatSerial } from '../ca/certificate/serial.ts';
import { signCertificate } from '../ca/certificate/sign.ts';
import { insertCertificate } from '../ca/index/certificates.ts';
import { prepareResponder } from '../ca/ocsp/prepare.ts';
import { newBatch } from '../db/batch.ts';
import { whenAnchored } from '../db/when-anchored.ts';
import { requirePolicyVersion } from '../policy/store.ts';
import { requireAuthorityFree } from '../registry/hold.ts';
import { setLatestSerial } from '../registry/instance.ts';
import { holdKey } from '../registry/key-in-use.ts';
import { type Csr, parseCsr, verifyCsr } from '../x509/csr.ts';
import type { Holder } from './holder.ts';
import { type IssuedCertificate, issuedBefore, issuedFrom } from './issued.ts';
import { narrow } from './narrow.ts';
import type { Order } from './order.ts';
import type { IssuanceParts } from './parts.ts';
import { issueEvent, newRow, recordRefusal } from './record.ts';
import { accessRequest, leafRequest, refused } from './wanted.ts';

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
  const { idempotency } = order;

  // 2. Facts: who the certificate is for, and what it may say.
  await parts.refresh();
  const holder = await order.holder(fresh);
  attempt.holder = holder;

  // 3. Authorise, once. A repeat is authorised like any request and then gets the first answer.
  const request = accessRequest(order, holder, csr);
  const verdict = parts.authorize(request);
  if (!verdict.allowed) throw refused(request, verdict, holder);
  // Also for a repeat: a holder that was stopped meanwhile is handed nothing any more.
  if (holder.fault !== undefined) throw holder.fault;
  // Where the commit finds a repeat, the look comes after: most requests are no repeat.
  const first = fresh || order.repeatReachesCommit !== true ? await idempotency?.first() : undefined;
  if (first?.kind === 'reference') {
    // A replacement revokes, and what it revoked may not be in the anchor yet.
    if (order.event === 'certificate.replaced') await whenAnchored(parts.commit);
    return issuedBefore(first.reference, parts);
  }
  const fault = order.fault?.();
  if (fault !== undefined) throw fault;

  // 4. Prepare: serial number, validity, bytes to be signed, lints. Out comes a token that works once.
  const prepared = attemptTo(() => prepare(order, holder, csr, parts));
  if ('error' in prepared) {
    // A repeat may not be possible again, and has its answer all the same.
    if (!fresh && (await idempotency?.first()) !== undefined) return undefined;
    throw prepared.error;
  }
  const { context, issuer, now, token, status } = prepared;

  // 5. Sign. From here on a certificate exists in memory, and nobody has seen it.
  const certificate = await signCertificate(issuer, token);

  // 6. Commit: one batch, in which all that steps 2 and 3 rest on is looked at again.
  const batch = newBatch();
  const serial = formatSerial(certificate.serial);
  idempotency?.keep(batch, { kind: 'reference', reference: serial });
  holder.record(batch, { certificate, context, now });
  const profile = { name: holder.profile.name, version: holder.profileVersion };
  if (order.responderOf === undefined) {
    batch.checks.push(issuerCheck(issuer.id, certificate.issuedAt, profile));
    requireAuthorityFree(batch, issuer.id);
  } else batch.checks.push(responderIssuerCheck(issuer.id));
  requirePolicyVersion(batch, verdict.policyVersion);
  const spkiHash = sha256(csr.publicKey.spki);
  holdKey(batch, spkiHash, holder.keyHolder, { now, keepUntil: certificate.expiresAt + KEY_KEPT });
  const event = batch.events.push(issueEvent(order, holder, verdict, { certificate, serial })) - 1;
  const row = newRow(holder, certificate, spkiHash, status.shard?.id);
  parts.shards.push(batch, status);
  insertCertificate(batch, row, event);
  if (row.previous !== undefined) setLatestSerial(batch, holder.keyHolder, certificate.serial);
  await order.also?.(batch, certificate);
  const commit = await parts.commit(batch);
  if (!commit.committed) {
    const byItself = order.revokesOwn === true && commit.refusal === 'revoked' && !fresh;
    if (commit.refusal === 'conflict' || byItself) return undefined;
    throw new WritError(commit.refusal, commit.reason, REMEDIES[commit.refusal] ?? {});
  }

  parts.shards.recorded(status);

  // 7. Answer: it is durable.
  const chain = parts.authority.chain(issuer.id);
  return issuedFrom(row, { id: holder.id.uri, der: certificate.der, chain, leaf: commit.firstLeaf + event });
}

/** Steps 3, as far as it is about what the certificate says, and 4. */
function prepare({ wish, responderOf }: Order, holder: Holder, csr: Csr, parts: IssuanceParts) {
  const context = narrow(holder.context, wish.scopes);
  const issuer = responderOf ?? parts.authority.issuer();
  const now = parts.clock.now();
  if (responderOf !== undefined) {
    const token = prepareResponder(issuer, csr.publicKey, { now, random: parts.random });
    return { context, issuer, now, token, status: parts.shards.next(issuer, 'ephemeral', now) };
  }
  const wanted = leafRequest(holder, context, wish, csr);
  const status = parts.shards.next(issuer, holder.profile.revocation, now);
  const token = prepareLeaf(issuer, holder.profile, wanted, { now, random: parts.random, status });
  return { context, issuer, now, token, status };
}

function attemptTo<T extends object>(act: () => T): T | { readonly error: unknown } {
  try {
    return act();
  } catch (error) {
    return { error };
  }
}

const REMEDIES: Readonly<Record<string, { remedy: string }>> = {
  key_in_use: { remedy: 'Make a new key pair where the agent runs, and ask again with a request for that.' },
  token_refused: { remedy: 'Ask for another join token.' },
  evidence_refused: { remedy: 'Get fresh evidence and present that.' },
};
