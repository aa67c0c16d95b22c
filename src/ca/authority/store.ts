import { hash } from 'node:crypto';
import type { Batch, Check } from '../../db/batch.ts';
import { deleteKey, type Keyring } from '../../keys/keyring.ts';
import type { Act } from '../act.ts';
import type { Authority } from '../authority.ts';
import { formatSerial } from '../certificate/serial.ts';
import type { SignedCrl } from '../crl/sign.ts';
import type { AuthorityRequestRow, Hierarchy } from '../hierarchy.ts';
import { LIFETIMES } from '../lifetime.ts';

/** Pushes what was decided when the installation was made. Refused where there is a hierarchy already. */
export function addHierarchy(
  batch: Batch,
  { trustDomain, algorithm, root, nameConstraints }: Omit<Hierarchy, 'authorities' | 'crls' | 'request'>,
  { now }: Act,
): void {
  batch.checks.push({
    sql: 'SELECT 1 AS found FROM hierarchy WHERE id = 1',
    params: [],
    want: 'absent',
    refusal: 'conflict',
    reason: 'This installation has its authorities already.',
  });
  batch.writes.push({
    sql: 'INSERT INTO hierarchy (id, trust_domain, algorithm, root, name_constraints, created_at) VALUES (1, ?, ?, ?, ?, ?)',
    params: [trustDomain, algorithm, root, nameConstraints, now],
  });
}

/** Pushes a new authority with the event that holds its certificate. */
export function addAuthority(batch: Batch, authority: Authority, { caller }: Act): void {
  const { id, kind, state, certificate, issuer, keyId, signsUntil, createdAt } = authority;
  batch.writes.push({
    sql:
      'INSERT INTO authority (id, kind, state, serial, certificate, issuer, key_id, not_before, not_after, signs_until, ' +
      'created_at, leaf) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    params: [
      id,
      kind,
      state,
      certificate.serial,
      certificate.raw,
      issuer ?? null,
      keyId ?? null,
      certificate.notBefore,
      certificate.notAfter,
      signsUntil,
      createdAt,
      { leaf: batch.events.length },
    ],
  });
  batch.events.push({
    type: 'authority.created',
    subjects: subjectsOf(authority),
    body: {
      caller,
      authority: id,
      kind,
      state,
      ...(issuer === undefined ? {} : { issuer }),
      certificate: Buffer.from(certificate.raw).toString('base64url'),
    },
  });
  batch.bumpsEpoch = true;
}

/**
 * Pushes the succession: `to` signs from now on, `from` no more. Refused when either is not in the state that it was
 * seen in, so of several processes one succeeds.
 */
export function addRotation(batch: Batch, from: Authority | undefined, to: Authority, act: Act): void {
  batch.checks.push(inState(to, 'next'));
  if (from === undefined) batch.checks.push(noActive(to.kind));
  else retire(batch, from, act);
  batch.writes.push({
    sql: "UPDATE authority SET state = 'active', signs_until = ? WHERE id = ?",
    params: [to.certificate.notAfter, to.id],
  });
  batch.events.push({
    type: 'authority.rotated',
    subjects: [`authority:${to.id}`, ...(from === undefined ? [] : [`authority:${from.id}`])],
    body: { caller: act.caller, authority: to.id, kind: to.kind, ...(from === undefined ? {} : { previous: from.id }) },
  });
  batch.bumpsEpoch = true;
}

/** Pushes an authority that is active from the start, in place of `from`. */
export function addSuccessor(batch: Batch, from: Authority | undefined, to: Authority, act: Act): void {
  if (from === undefined) batch.checks.push(noActive(to.kind));
  else retire(batch, from, act);
  addAuthority(batch, to, act);
  if (from === undefined) return;
  batch.events.push({
    type: 'authority.rotated',
    subjects: [`authority:${to.id}`, `authority:${from.id}`],
    body: { caller: act.caller, authority: to.id, kind: to.kind, previous: from.id },
  });
}

/** Pushes the end of an authority's key, once everything that it signed has expired. */
export function addKeyDeletion(batch: Batch, keyring: Keyring, authority: Authority, { caller }: Act): void {
  const { id, kind, keyId } = authority;
  if (keyId === undefined) return;
  batch.checks.push({
    sql: 'SELECT 1 AS found FROM authority WHERE id = ? AND key_id = ?',
    params: [id, keyId],
    want: 'present',
    refusal: 'conflict',
    reason: 'The key of this authority is gone already.',
  });
  deleteKey(batch, keyring, keyId);
  batch.writes.push({ sql: "UPDATE authority SET key_id = NULL, state = 'retired' WHERE id = ?", params: [id] });
  batch.events.push({
    type: 'authority.retired',
    subjects: [`authority:${id}`],
    body: { caller, authority: id, kind },
  });
  batch.bumpsEpoch = true;
}

/** Pushes that the root's key is elsewhere from now on. The root itself stays what it is. */
export function addRootKeyRemoval(batch: Batch, keyring: Keyring, root: Authority, { caller }: Act): void {
  if (root.keyId === undefined) return;
  batch.checks.push({
    sql: "SELECT 1 AS found FROM hierarchy WHERE id = 1 AND root = 'online'",
    params: [],
    want: 'present',
    refusal: 'conflict',
    reason: 'The key of the root was moved already.',
  });
  deleteKey(batch, keyring, root.keyId);
  batch.writes.push({ sql: 'UPDATE authority SET key_id = NULL WHERE id = ?', params: [root.id] });
  batch.writes.push({ sql: "UPDATE hierarchy SET root = 'offline' WHERE id = 1", params: [] });
  batch.events.push({
    type: 'authority.key_moved',
    subjects: [`authority:${root.id}`],
    body: { caller, authority: root.id, kind: root.kind },
  });
}

/** Pushes a revocation list. Refused when the authority has one with this number or a greater one. */
export function addCrl(batch: Batch, authority: string, crl: SignedCrl, { caller }: Act): void {
  batch.checks.push({
    sql: 'SELECT 1 AS found FROM authority_crl WHERE authority = ? AND number >= ?',
    params: [authority, crl.number],
    want: 'absent',
    refusal: 'conflict',
    reason: 'A newer list of this authority was signed meanwhile.',
  });
  batch.writes.push({
    sql:
      'INSERT INTO authority_crl (authority, number, this_update, next_update, crl, leaf) VALUES (?, ?, ?, ?, ?, ?) ' +
      'ON CONFLICT (authority) DO UPDATE SET number = excluded.number, this_update = excluded.this_update, ' +
      'next_update = excluded.next_update, crl = excluded.crl, leaf = excluded.leaf',
    params: [authority, crl.number, crl.thisUpdate, crl.nextUpdate, crl.der, { leaf: batch.events.length }],
  });
  batch.events.push({
    type: 'crl.signed',
    subjects: [`authority:${authority}`],
    body: {
      caller,
      authority,
      number: crl.number,
      this_update: new Date(crl.thisUpdate).toISOString(),
      next_update: new Date(crl.nextUpdate).toISOString(),
      sha256: hash('sha256', crl.der, 'hex'),
    },
  });
}

/** Pushes the request for an intermediate under somebody else's root, in place of one that was never answered. */
export function addRequest(batch: Batch, request: AuthorityRequestRow): void {
  batch.writes.push({
    sql:
      'INSERT INTO authority_request (id, authority, key_id, csr, created_at) VALUES (1, ?, ?, ?, ?) ' +
      'ON CONFLICT (id) DO UPDATE SET authority = excluded.authority, key_id = excluded.key_id, csr = excluded.csr, ' +
      'created_at = excluded.created_at',
    params: [request.authority, request.keyId, request.csr, request.createdAt],
  });
}

/** Pushes the end of a request that was answered. Refused when another one took its place. */
export function removeRequest(batch: Batch, request: AuthorityRequestRow): void {
  batch.checks.push({
    sql: 'SELECT 1 AS found FROM authority_request WHERE id = 1 AND authority = ?',
    params: [request.authority],
    want: 'present',
    refusal: 'conflict',
    reason: 'The request was answered or replaced meanwhile.',
  });
  batch.writes.push({ sql: 'DELETE FROM authority_request WHERE id = 1', params: [] });
}

/**
 * What every batch that records a leaf checks: its issuer may still sign, or might when the leaf was signed. A leaf
 * that was in flight while the issuer was succeeded is still recorded, for five minutes. With `profile`, this version of
 * it is still the one in force.
 */
export function issuerCheck(
  issuer: string,
  issuedAt: number,
  profile?: { readonly name: string; readonly version: number },
): Check {
  const check = { want: 'present', refusal: 'conflict' } as const;
  if (profile === undefined) {
    const sql = 'SELECT 1 AS found FROM authority WHERE id = ? AND signs_until >= ?';
    return { ...check, sql, params: [issuer, issuedAt], reason: 'The issuing authority was succeeded by another.' };
  }
  return {
    ...check,
    sql:
      'SELECT 1 AS found FROM authority a, profile p ' +
      'WHERE a.id = ? AND a.signs_until >= ? AND p.name = ? AND p.version = ?',
    params: [issuer, issuedAt, profile.name, profile.version],
    reason: 'The issuing authority was succeeded by another, or the profile changed.',
    // Without a succession it signs until its certificate ends, and `prepareLeaf` issues nothing beyond that.
    standing: true,
  };
}

/**
 * What the batch checks that records the certificate of an OCSP responder: its authority's key is still there. One that
 * signs leaves no more goes on answering for those that it signed.
 */
export function responderIssuerCheck(issuer: string): Check {
  return {
    sql: "SELECT 1 AS found FROM authority WHERE id = ? AND state <> 'next' AND key_id IS NOT NULL",
    params: [issuer],
    want: 'present',
    refusal: 'conflict',
    reason: 'The key of the authority that the responder would answer for is gone.',
  };
}

/** Refuses a batch that makes a next authority when there is one. */
export function noNext(kind: Authority['kind']): Check {
  return {
    sql: "SELECT 1 AS found FROM authority WHERE kind = ? AND state = 'next'",
    params: [kind],
    want: 'absent',
    refusal: 'conflict',
    reason: 'Another process made the next authority.',
  };
}

/** Refuses a batch when an authority is no longer in the state that it was seen in. */
export function inState({ id }: Authority, state: Authority['state']): Check {
  return {
    sql: 'SELECT 1 AS found FROM authority WHERE id = ? AND state = ?',
    params: [id, state],
    want: 'present',
    refusal: 'conflict',
    reason: 'Another process rotated the authorities.',
  };
}

/** Refuses a batch when there is an active authority of a kind. */
export function noActive(kind: Authority['kind']): Check {
  return {
    sql: "SELECT 1 AS found FROM authority WHERE kind = ? AND state = 'active'",
    params: [kind],
    want: 'absent',
    refusal: 'conflict',
    reason: 'Another process rotated the authorities.',
  };
}

function retire(batch: Batch, from: Authority, { now }: Act): void {
  batch.checks.push(inState(from, 'active'));
  batch.writes.push({
    sql: "UPDATE authority SET state = 'retired', signs_until = ? WHERE id = ?",
    params: [now + LIFETIMES.overlap * 1000, from.id],
  });
}

function subjectsOf({ id, certificate }: Authority): string[] {
  return [`authority:${id}`, `serial:${formatSerial(certificate.serial)}`];
}
