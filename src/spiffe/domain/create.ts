import type { Caller } from '../../base/access.ts';
import { demand } from '../../base/demand.ts';
import { WritError } from '../../base/error.ts';
import { type Domain, insertDomain, type SubordinateProfile } from '../../ca/domain/domain.ts';
import { pushDomainList } from '../../ca/domain/list.ts';
import { certificateText, makeRoot, makeSigning, recordDomain } from '../../ca/domain/make.ts';
import { newBatch } from '../../db/batch.ts';
import { committed } from '../../db/committed.ts';
import { parseTrustDomain, type TrustDomain } from '../../spiffe-id/trust-domain.ts';
import { type DomainParts, INSTALLATION, meansOf, type ShownDomain } from './parts.ts';

/** A quarter; the intermediate that signs lives three years. */
const MOST_SECONDS = 90 * 86_400;
const MOST_SUBORDINATES = 1000;
/** Kinds of key that a subordinate authority may have. */
export const KEYS: readonly string[] = ['ec-p256', 'ec-p384', 'ed25519', 'ml-dsa-44', 'ml-dsa-65', 'ml-dsa-87'];

/**
 * Makes a further trust domain: its root, the authority that signs subordinate ones, and the profile by which it does. Those who
 * agree to this agree to the profile. Throws `bad_request`, `bad_spiffe_id`, `denied`, `needs_approval`, `conflict`.
 */
export async function createDomain(
  caller: Caller,
  input: { readonly trustDomain: string; readonly profile: SubordinateProfile },
  parts: DomainParts,
  { dryRun }: { readonly dryRun?: boolean | undefined } = {},
): Promise<ShownDomain> {
  const trustDomain = parseTrustDomain(input.trustDomain, '/trust_domain');
  demand(parts.authorize, {
    ...{ caller, action: 'domain.create', resource: INSTALLATION },
    context: { trustDomain, lifetimeSeconds: input.profile.mostSeconds },
  });
  await requireUnrelated(caller, [(await parts.own()).trustDomain, ...parts.dnsNames], trustDomain, parts);
  requireProfile(input.profile);
  const means = meansOf(parts, caller.id);
  const { now } = means;
  const batch = newBatch();
  const domain: Domain = {
    ...{ trustDomain, state: 'active', profile: input.profile, sequence: now },
    ...{ createdAt: now, createdBy: caller.id },
  };
  insertDomain(batch, domain);
  const root = await makeRoot(batch, trustDomain, { state: 'active' }, means);
  const signing = await makeSigning(batch, root, means);
  const authorities = [root.authority, signing.authority];
  const { mostSeconds, keys, most } = input.profile;
  recordDomain(
    batch,
    'domain.created',
    domain,
    {
      caller: caller.id,
      profile: { most_seconds: mostSeconds, keys, most },
      ...{ certificates: authorities.map(certificateText), sequence: now },
    },
    authorities,
  );
  for (const one of [root, signing]) await pushDomainList(batch, one, { authorities, lists: [] }, means);
  batch.bumpsEpoch = true;
  if (dryRun !== true) committed(await parts.commit(batch));
  return { domain, authorities };
}

/**
 * A further trust domain has nothing to do with our own, nor with any DNS name that certificates of ours may have: it is not the
 * same, not above it and not below it. Of one above, some validators take the constraints to hold for ours as well; one below has
 * DNS names that agents of ours have. Throws `bad_request`, which is on record.
 */
async function requireUnrelated(
  { id: by }: Caller,
  ours: readonly string[],
  other: TrustDomain,
  { recordRefusal }: Pick<DomainParts, 'recordRefusal'>,
): Promise<void> {
  const related = (own: string): boolean => own === other || own.endsWith(`.${other}`) || other.endsWith(`.${own}`);
  if (!ours.some(related)) return;
  const refused = new WritError(
    'bad_request',
    'The trust domain is that of this installation or a name of its own, or above or below it.',
    {
      field: '/trust_domain',
      remedy: 'Give one whose name has nothing to do with it, like partners.example beside agents.example.com.',
    },
  );
  await recordRefusal({
    ...{ type: 'access.refused', by, code: refused.code, fault: 'own_domain', subjects: [`domain:${other}`] },
    body: { action: 'domain.create', reasons: [refused.message] },
  });
  throw refused;
}

function requireProfile({ mostSeconds, keys, most }: SubordinateProfile): void {
  const wrong =
    mostSeconds < 300 || mostSeconds > MOST_SECONDS
      ? `Subordinate authorities live 300 to ${MOST_SECONDS} seconds.`
      : keys.length === 0 || keys.some((key) => !KEYS.includes(key))
        ? `Their keys are of: ${KEYS.join(', ')}.`
        : most < 1 || most > MOST_SUBORDINATES
          ? `There are 1 to ${MOST_SUBORDINATES} of them at a time.`
          : undefined;
  if (wrong !== undefined)
    throw new WritError('bad_request', 'The profile is not one.', { field: '/profile', remedy: wrong });
}
