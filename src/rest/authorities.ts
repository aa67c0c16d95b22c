import { createHash } from 'node:crypto';
import type { Caller } from '../base/access.ts';
import type { Due } from '../ca/authority/due.ts';
import type { Authority } from '../ca/authority.ts';
import { encodePem } from '../der/pem.ts';
import type * as wire from '../wire/authority.ts';
import { authority, authorityList, rotateAuthority } from '../wire/authority.ts';
import { byId } from '../wire/path.ts';
import { type Operation, operation, type WriteOptions } from './operation.ts';
import { given, hexText, timeText } from './render.ts';

/** What the routes under `/v1/authorities` need. Each asks policy. */
export interface Authorities {
  list(caller: Caller): Promise<{ readonly authorities: readonly Authority[]; readonly due: readonly Due[] }>;
  /** Lets the issuing authority be succeeded now; gives the one that signs from then on. */
  rotate(caller: Caller, options: WriteOptions): Promise<Authority>;
  /** Throws `not_found`. */
  show(caller: Caller, id: string): Promise<Authority>;
}

export function authorityOperations(authorities: Authorities): Operation[] {
  return [
    operation({
      id: 'listAuthorities',
      method: 'GET',
      path: '/v1/authorities',
      access: 'caller',
      action: 'authority.read',
      summary: 'All authorities, the oldest first, and what a person has to do about them.',
      answer: authorityList,
      async handle({ caller }) {
        const { authorities: items, due } = await authorities.list(caller);
        return { items: items.map(authorityAnswer), due: due.map(dueAnswer) };
      },
    }),
    operation({
      id: 'getAuthority',
      method: 'GET',
      path: '/v1/authorities/{id}',
      access: 'caller',
      action: 'authority.read',
      summary: 'One authority.',
      params: byId,
      answer: authority,
      handle: async ({ caller, params: { id } }) => authorityAnswer(await authorities.show(caller, id)),
    }),
    operation({
      id: 'rotateAuthority',
      method: 'POST',
      path: '/v1/authorities/rotate',
      access: 'caller',
      action: 'authority.rotate',
      summary: 'Replaces the issuing authority now. It happens by itself every 90 days.',
      body: rotateAuthority,
      answer: authority,
      example: { body: {} },
      handle: async ({ caller, idempotency }) => authorityAnswer(await authorities.rotate(caller, { idempotency })),
    }),
  ];
}

function authorityAnswer(found: Authority): wire.Authority {
  const { id, kind, state, certificate, issuer, keyId } = found;
  return {
    id,
    kind,
    state,
    ...given('issuer', issuer),
    algorithm: certificate.signatureAlgorithm,
    serial: hexText(certificate.serial),
    fingerprint: createHash('sha256').update(certificate.raw).digest('hex'),
    key: keyId === undefined ? 'elsewhere' : 'present',
    not_before: timeText(certificate.notBefore),
    not_after: timeText(certificate.notAfter),
    certificate: encodePem('CERTIFICATE', certificate.raw),
  };
}

function dueAnswer({ what, dueAt, overdue, message, command }: Due): wire.Due {
  return { what, by: timeText(dueAt), overdue, message, command };
}
