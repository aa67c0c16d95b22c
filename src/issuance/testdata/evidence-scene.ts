/** Attestors and bearers of evidence for tests of enrolment: an OpenID issuer whose keys are pinned, and a factory. */
import { generateKeyPairSync, sign } from 'node:crypto';
import { ADA, ANONYMOUS, type Installation, newKey, register, registered, START } from '../../../test/installation.ts';
import { attestEvidence, type EvidenceParts, type Presented } from '../../attest/attest-evidence.ts';
import { parseSettings } from '../../attest/attestor/kinds.ts';
import { EntryCache } from '../../attest/entry/cache.ts';
import type { EntryInput } from '../../attest/entry/input.ts';
import { parseCosign } from '../../attest/verifier/image-signature.ts';
import { KeySets } from '../../attest/verifier/key-sets.ts';
import { type AttestorParts, addAttestor } from '../../attest/attestor/manage.ts';
import { createEntry, type EntryParts, type ShownEntry } from '../../attest/entry/manage.ts';
import { oidcVerifier } from '../../attest/verifier/oidc.ts';
import { x509popVerifier } from '../../attest/verifier/x509pop.ts';
import { encodePem } from '../../der/pem.ts';
import { idempotencyOf } from '../../http/idempotency.ts';
import type { AttestorEvidence } from '../../wire/attestation.ts';
import type { AttestorSettings } from '../../wire/attestor.ts';
import { parseCsr } from '../../x509/csr.ts';
import { DAY, type Entity, issue, type Wish } from '../../x509/path/testdata/issue.ts';
import { enrol } from '../enrol.ts';
import type { IssuedCertificate } from '../issued.ts';

const ISSUER = 'https://issuer.example.com';
const AUDIENCE = 'agents.example.com';
const issuerKey = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const JWKS = JSON.stringify({
  keys: [{ ...issuerKey.publicKey.export({ format: 'jwk' }), kid: 'one', alg: 'ES256', use: 'sig' }],
});
export const OIDC: AttestorSettings = { kind: 'oidc', parameters: { issuer: ISSUER, audience: AUDIENCE, jwks: JWKS } };

export const validity: Pick<Required<Wish>, 'notBefore' | 'notAfter'> = { notBefore: START - DAY, notAfter: START + 30 * DAY };
export const factory: Entity = issue('Factory', { ca: true, ...validity });
export const pem = (raw: Uint8Array): string => encodePem('CERTIFICATE', raw);
export const FACTORY: AttestorSettings = { kind: 'x509pop', parameters: { roots: [pem(factory.certificate.raw)] } };

/** What flows about attestors, entries and evidence use. */
export type Parts = EvidenceParts & EntryParts & AttestorParts;

let tokens = 0;

export function token(claims: Record<string, unknown> = {}): string {
  const at = START / 1000;
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const body = {
    iss: ISSUER,
    aud: AUDIENCE,
    sub: 'repo:example/app',
    iat: at,
    exp: at + 600,
    jti: `${++tokens}`,
    ...claims,
  };
  const signed = `${part({ alg: 'ES256', typ: 'JWT', kid: 'one' })}.${part(body)}`;
  const signature = sign('sha256', Buffer.from(signed), { key: issuerKey.privateKey, dsaEncoding: 'ieee-p1363' });
  return `${signed}.${signature.toString('base64url')}`;
}

export const oidc = (text: string, attestor = 'github'): AttestorEvidence => ({ kind: 'oidc', attestor, token: text });

function partsOf(installation: Installation): Parts {
  const { database, clock, random, commit, policy } = installation;
  const fetch: EvidenceParts['fetch'] = async () => ({ reached: false });
  const images = { parse: parseCosign, verify: async () => ({ accepted: false, fault: 'malformed' }) as const };
  const verifiers = { oidc: oidcVerifier(new KeySets({ clock, fetch })), x509pop: x509popVerifier, cosign: images };
  const secret = new Uint8Array(32).fill(7);
  const checkSettings = (settings: AttestorSettings): void => void parseSettings(settings, verifiers);
  return {
    ...{ reader: database, clock, random, commit, authorize: policy.authorize, registered: registered(installation) },
    lifetimeFits: async () => true,
    ...{ fetch, verifiers, secret, checkSettings, entries: new EntryCache(database) },
  };
}


export async function scene(installation: Installation): Promise<Parts> {
  const parts = partsOf(installation);
  await register(installation, 'planner');
  await register(installation, 'deployer');
  await addAttestor(ADA, { name: 'github', settings: OIDC }, parts);
  await addAttestor(ADA, { name: 'factory', settings: FACTORY }, parts);
  return parts;
}

export function entry(parts: Parts, more: Partial<EntryInput> = {}): Promise<ShownEntry> {
  const source = { attestor: 'github' };
  return createEntry(ADA, { agent: 'planner', source, match: ['oidc:sub=repo:example/*'], ...more }, parts);
}

/** What the door does with evidence. */
export async function present(
  installation: Installation,
  parts: Parts,
  evidence: AttestorEvidence,
  more: Partial<Presented> & { readonly key?: ReturnType<typeof newKey>; readonly idempotencyKey?: string } = {},
): Promise<IssuedCertificate> {
  const csr = await (more.key ?? newKey()).csr();
  const attested = await attestEvidence(evidence, { spki: parseCsr(csr).publicKey.spki, ...more }, parts);
  const idempotency =
    more.idempotencyKey === undefined
      ? undefined
      : idempotencyOf(
          {
            caller: 'x',
            route: 'POST /v1/svid',
            key: more.idempotencyKey,
            target: '/v1/svid',
            body: Buffer.from('{}'),
          },
          installation.database,
          installation.clock,
        );
  return enrol(ANONYMOUS, { evidence: attested, csr, idempotency }, installation.issuance);
}
