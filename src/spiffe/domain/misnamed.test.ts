import assert from 'node:assert/strict';
import { onEachEngine } from '../../../test/engines.ts';
import { ADA } from '../../../test/installation.ts';
import { certificate } from '../../../test/spiffe-conformance/certificate.ts';
import { type Certificate, parseCertificate } from '../../x509/certificate.ts';
import { OTHER, PROFILE, request, setUp } from '../testdata/domain-world.ts';
import { createDomain } from './create.ts';
import { misnamedWatch } from './misnamed.ts';
import { revokeDomainAuthority } from './revoke.ts';
import { signDomainAuthority } from './sign.ts';

const OURS = 'spiffe://agents.example.com/agent/planner/01jd0000000000000000000000';

onEachEngine('whoever signs a name of ours with a subordinate authority is put on record', async ({ open }) => {
  const { installation, parts } = await setUp(open);
  await createDomain(ADA, { trustDomain: OTHER, profile: PROFILE }, parts);
  const { key, csr } = await request();
  const { authority } = await signDomainAuthority(ADA, { trustDomain: OTHER, csr }, parts);
  const signed = (uri: string, by = key): Certificate =>
    parseCertificate(certificate({ uris: [uri], by: { key: by, subject: authority.certificate.subject.raw } }).der);
  const { trustDomain } = installation.issuance;
  const watch = misnamedWatch({ ...parts, trustDomain });
  const recorded = async (): Promise<readonly object[]> => {
    await installation.refusals.flush(true);
    const events = (await installation.events()).filter(({ type }) => type === 'access.refused');
    return events.map(({ subjects, body }) => ({ subjects, body }));
  };

  // What it may sign, and what only says that it has signed.
  await watch(signed(`spiffe://${OTHER}/web`));
  await watch(signed(OURS, (await request()).key));
  await watch(parseCertificate(certificate({ uris: [OURS] }).der));
  assert.deepEqual(await recorded(), []);

  await watch(signed(OURS));
  const about = { subjects: [`domain:${OTHER}`, `authority:${authority.id}`] };
  const common = { caller: `domain:${OTHER}`, code: 'not_authenticated' };
  const body = {
    ...common,
    action: 'connect',
    spiffe_id: OURS,
    reasons: ['A subordinate authority of another trust domain signed a name of this one.'],
  };
  assert.deepEqual(await recorded(), [{ ...about, body }]);

  // It is no better for being revoked, and many are one entry.
  await revokeDomainAuthority(ADA, { trustDomain: OTHER, authority: authority.id, cause: 'key_theft' }, parts);
  for (let n = 0; n < 100; n++) await watch(signed(OURS));
  const after = (await recorded()) as readonly { readonly body: { readonly count?: number } }[];
  const counted = after.flatMap((one) => one.body.count ?? []);
  assert.ok(after.length <= 3 && counted.every((count) => count < 100), JSON.stringify(after));
  await installation.close();
});
