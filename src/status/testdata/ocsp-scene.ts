/** An installation whose OCSP answers are asked for in this process, and what a relying party makes of them. */
import assert from 'node:assert/strict';
import { type Installation, letIn, register } from '../../../test/installation.ts';
import { silentLog } from '../../base/log.ts';
import { type Authority, activeOf } from '../../ca/authority.ts';
import { OCSP_VALIDITY } from '../../ca/ocsp/sign.ts';
import { ocspAnswers } from '../../cmd/server/ocsp.ts';
import type { CommitBatch } from '../../db/batch.ts';
import type { Reader } from '../../db/database.ts';
import type { CurrentAuthority } from '../../issuance/current-authority.ts';
import type { IssuedCertificate } from '../../issuance/issued.ts';
import type { Certificate } from '../../x509/certificate.ts';
import { type CertIdHash, encodeCertId } from '../../x509/ocsp-cert-id.ts';
import { encodeOcspRequest } from '../../x509/ocsp-request.ts';
import { parseOcspResponse } from '../../x509/ocsp-response.ts';
import { judgeOcspResponse } from '../../x509/ocsp-verify.ts';
import type { OcspAnswers } from '../ocsp/answers.ts';

export interface Scene {
  /** A certificate of an instance. */
  readonly issued: IssuedCertificate;
  readonly authority: CurrentAuthority;
  readonly answers: OcspAnswers;
  issuing(): Authority;
  /** How often a status was read; `during` is done once, while the next one is. */
  readonly reads: { count: number; during?: (() => Promise<unknown>) | undefined };
}

/** `commit`: what responders are certified with, in place of the installation's own. */
export async function scene(installation: Installation, commit: CommitBatch = installation.commit): Promise<Scene> {
  await register(installation, 'planner');
  const issued = await letIn(installation, { agent: 'planner' });
  const authority = installation.issuance.authority as CurrentAuthority;
  const { database } = installation;
  const reads: Scene['reads'] = { count: 0 };
  const reader: Reader = {
    all: (sql, params) => database.all(sql, params),
    async get(sql, params) {
      const row = await database.get(sql, params);
      if (!sql.includes('FROM revoked')) return row;
      reads.count++;
      const { during } = reads;
      reads.during = undefined;
      await during?.();
      return row;
    },
  };
  const issuance = { ...installation.issuance, commit };
  const answers = ocspAnswers({
    ...installation,
    ...issuance,
    issuance,
    reader,
    authority,
    hierarchy: { algorithm: 'ecdsa-p256' },
    log: silentLog,
  });
  const issuing = (): Authority => activeOf(authority.authorities(), 'issuing')!;
  return { issued, authority, answers, issuing, reads };
}

export function question(
  certificate: Pick<Certificate, 'serial'>,
  issuer: Certificate,
  { nonce, hash = 'sha1' }: { nonce?: Uint8Array; hash?: CertIdHash } = {},
): Uint8Array {
  return encodeOcspRequest([encodeCertId(certificate, issuer, hash)], nonce);
}

/** What a relying party makes of the answer, in one line. */
export async function ask(
  answers: OcspAnswers,
  certificate: Certificate,
  issuer: Certificate,
  { now, nonce, hash }: { now: number; nonce?: Uint8Array; hash?: CertIdHash },
): Promise<string> {
  const asked = { ...(nonce && { nonce }), ...(hash && { hash }) };
  const { der } = await answers.answer(question(certificate, issuer, asked));
  const parsed = parseOcspResponse(der);
  if (parsed.kind === 'fault') return parsed.fault;
  const judged = judgeOcspResponse(der, { certificate, issuer, now, nonce });
  if (judged.kind === 'refused') return `refused: ${judged.why}`;
  assert.ok(judged.nextUpdate - judged.thisUpdate <= OCSP_VALIDITY);
  assert.ok(judged.thisUpdate <= now && judged.nextUpdate > now, 'an answer is for now');
  const { status } = judged;
  return status.kind === 'revoked' ? `revoked ${status.at} ${status.reason}` : status.kind;
}
