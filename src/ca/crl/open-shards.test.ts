import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { isWritError } from '../../base/error.ts';
import { newBatch } from '../../db/batch.ts';
import { type Certificate, parseCertificate } from '../../x509/certificate.ts';
import { findExtension } from '../../x509/extension.ts';
import { AUTHORITY_INFO_ACCESS, decodeAuthorityInfoAccess } from '../../x509/extensions/authority-info-access.ts';
import { CRL_DISTRIBUTION_POINTS, decodeCrlDistributionPoints } from '../../x509/extensions/crl-distribution-points.ts';
import { NO_REV_AVAIL } from '../../x509/extensions/no-rev-avail.ts';
import { prepareLeaf } from '../certificate/prepare.ts';
import { signCertificate } from '../certificate/sign.ts';
import type { Profile } from '../profile/profile.ts';
import { shardOfUrl } from '../status-url.ts';
import { type Chain, DAY, leafRequest, makeChain, random, START } from '../testdata/installation.ts';
import { OpenShards } from './open-shards.ts';

const BASE = 'http://ca.example.com:8480/status';
const EPHEMERAL = { revocation: 'ephemeral', lifetime: { default: 300, least: 60, most: 300 } } as const;
let chain: Chain;
before(async () => {
  chain = await makeChain('ecdsa-p256');
});

const profileOf = (change: Partial<Profile> = {}): Profile => ({ ...chain.profiles[0]!, ...change });

async function issue(shards: OpenShards, profile: Profile): Promise<Certificate> {
  const status = shards.next(chain.issuer, profile.revocation, START);
  const token = prepareLeaf(chain.issuer, profile, await leafRequest(), { now: START, random, status });
  return parseCertificate((await signCertificate(chain.issuer, token)).der);
}

const access = ({ extensions }: Certificate): unknown =>
  decodeAuthorityInfoAccess(findExtension(extensions, AUTHORITY_INFO_ACCESS)!.value).map(
    ({ location }) => location.value,
  );

test('a revocable leaf names its shard, the responder and its issuer', async () => {
  const shards = new OpenShards(BASE, random);
  const leaf = await issue(shards, profileOf());
  const { shard } = shards.next(chain.issuer, 'revocable', START);
  assert.deepEqual(access(leaf), [`${BASE}/ocsp`, `${BASE}/ca/${chain.issuer.id}.cer`]);
  const url = `${BASE}/crl/shard/${shard!.id}.crl`;
  const points = findExtension(leaf.extensions, CRL_DISTRIBUTION_POINTS)!;
  assert.deepEqual(decodeCrlDistributionPoints(points.value), [
    { name: { fullName: [{ kind: 'uri', value: url }] }, someReasons: false },
  ]);
  assert.equal(shardOfUrl(url), shard!.id);
  assert.equal(shardOfUrl(`${BASE}/crl/${chain.issuer.id}.crl`), undefined);
  assert.equal(findExtension(leaf.extensions, NO_REV_AVAIL), undefined);
});

test('an ephemeral leaf says that nothing is published', async () => {
  const leaf = await issue(new OpenShards(BASE, random), profileOf(EPHEMERAL));
  assert.ok(findExtension(leaf.extensions, NO_REV_AVAIL));
  assert.equal(findExtension(leaf.extensions, CRL_DISTRIBUTION_POINTS), undefined);
  assert.deepEqual(access(leaf), [`${BASE}/ca/${chain.issuer.id}.cer`]);
});

test('what says one thing under a profile of the other mode is never signed', async () => {
  const shards = new OpenShards(BASE, random);
  const modes = ['revocable', 'ephemeral'] as const;
  for (const mode of modes) {
    for (const said of modes) {
      const status = shards.next(chain.issuer, said, START);
      const profile = profileOf(mode === 'ephemeral' ? EPHEMERAL : {});
      const request = await leafRequest();
      const prepare = () => prepareLeaf(chain.issuer, profile, request, { now: START, random, status });
      if (mode === said) prepare();
      else
        assert.throws(
          prepare,
          (error) => isWritError(error, 'lint_failed') && /revocation_mode/.test(error.reasons[0]!),
        );
    }
  }
  const long = profileOf({ ...EPHEMERAL, lifetime: { default: 301, least: 60, most: 301 } });
  await assert.rejects(issue(shards, long), /lives longer than five minutes/);
});

test('a shard is for five thousand certificates, or those of a day, of one issuer', () => {
  const shards = new OpenShards(BASE, random);
  const id = (now = START, issuer = chain.issuer) => shards.next(issuer, 'revocable', now).shard!.id;
  const ids = Array.from({ length: 5000 }, () => id());
  assert.equal(new Set(ids).size, 1);
  const second = id();
  assert.notEqual(second, ids[0]);
  assert.equal(id(START + DAY), second);
  const third = id(START + DAY + 1);
  assert.notEqual(third, second);
  assert.notEqual(id(START + DAY + 1, chain.issuers.intermediate), third);
  assert.equal(id(START + DAY + 1), third, 'one is open for each issuer');
});

test('the row of a shard comes with certificates until a commit has brought it', () => {
  const shards = new OpenShards(BASE, random);
  const rows = (): number => {
    const batch = newBatch();
    shards.push(batch, status);
    return batch.writes.length;
  };
  const status = shards.next(chain.issuer, 'revocable', START);
  assert.deepEqual([rows(), rows()], [1, 1]);
  shards.recorded(status);
  assert.equal(rows(), 0);
  const batch = newBatch();
  shards.push(batch, shards.next(chain.issuer, 'ephemeral', START));
  assert.equal(batch.writes.length, 0);
});
