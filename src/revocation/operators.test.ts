/** What an operator has, and had, goes whole: on removal, and when the credential is replaced. */
import assert from 'node:assert/strict';
import { onEachEngine } from '../../test/engines.ts';
import {
  ADA,
  callerOf,
  createInstallation,
  type Installation,
  newKey,
  newToken,
  register,
  SYSTEM,
} from '../../test/installation.ts';
import { isWritError } from '../base/error.ts';
import { readCertificate } from '../ca/index/certificates.ts';
import { readUnfinishedStops } from '../ca/index/unfinished-stop.ts';
import type { CommitBatch } from '../db/batch.ts';
import { EpochCache } from '../db/epoch-cache.ts';
import type { IssuedCertificate } from '../issuance/issued.ts';
import { addOperatorWithCertificate, issueOperatorCertificate } from '../issuance/operator.ts';
import { renewCertificate } from '../issuance/renew.ts';
import type { RecordedEvent } from '../ledger/entry.ts';
import type { Name } from '../spiffe-id/name.ts';
import { actingFor } from './acting.ts';
import { finishStops } from './finish.ts';
import { removeOperator } from './remove-operator.ts';
import { voidOperatorBefore } from './replace-operator.ts';
import { replayRevocations } from './replay.ts';
import { CertificateStatus } from './status.ts';

const operator = 'carol' as Name;

async function add({ issuance }: Installation): Promise<IssuedCertificate> {
  return addOperatorWithCertificate(SYSTEM, { operator, csr: await newKey().csr() }, issuance);
}

/** As the door does it: the commit looks again at the caller. */
async function renew({ issuance }: Installation, held: IssuedCertificate, key = newKey()): Promise<IssuedCertificate> {
  const caller = callerOf(held);
  const acting = await actingFor(caller, issuance, { policy: false });
  return renewCertificate(caller, { csr: await key.csr() }, { ...issuance, ...acting });
}

async function isMarked({ issuance }: Installation, { serial }: IssuedCertificate): Promise<boolean> {
  return (await readCertificate(issuance.certificates, serial))?.revoked !== undefined;
}

function statusOf({ database, issuance, epoch, clock }: Installation): CertificateStatus {
  const standings = new EpochCache<never>(epoch, 1000);
  return new CertificateStatus({ reader: database, certificates: issuance.certificates, epoch, standings, clock });
}

onEachEngine('an operator goes at once, however many certificates there are', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance, database } = installation;
  const first = await add(installation);
  const key = newKey();
  const all = [first, ...(await Promise.all(Array.from({ length: 205 }, () => renew(installation, first, key))))];
  let commits = 0;
  const dying: CommitBatch = async (batch) => {
    if (++commits === 2) throw new Error('killed');
    return issuance.commit(batch);
  };
  const target = { operator, cause: 'decommissioned' };
  await assert.rejects(removeOperator(SYSTEM, target, { ...issuance, commit: dying }), /killed/);
  const status = statusOf(installation);
  for (const { serial } of all) assert.equal((await status.of(serial)).state, 'revoked', 'from the first commit on');
  await finishStops({ ...issuance, reader: database });
  const marked = await Promise.all(all.map((one) => isMarked(installation, one)));
  assert.ok(!marked.includes(false), 'each is marked, for the revocation lists');
  assert.deepEqual(await readUnfinishedStops(database), []);
  await removeOperator(SYSTEM, target, issuance);
});

onEachEngine('of a credential that was replaced nothing is left', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance, database } = installation;
  await register(installation, 'planner');
  const lost = await add(installation);
  const found = [await renew(installation, lost), await renew(installation, lost)];
  const [his, hers] = [
    await newToken(installation, { agent: 'planner', uses: 100 }, callerOf(lost)),
    await newToken(installation, { agent: 'planner' }, ADA),
  ];
  const kept = await issueOperatorCertificate(SYSTEM, { operator, csr: await newKey().csr() }, issuance);
  // Whoever found it renews while it is being made worthless.
  const late: IssuedCertificate[] = [];
  const commit: CommitBatch = async (batch) => {
    if (late.length < 3) late.push(await renew(installation, late.at(-1) ?? lost));
    return issuance.commit(batch);
  };
  const before = (await installation.events()).length;
  await voidOperatorBefore(SYSTEM, { operator, keep: kept.serial }, { ...issuance, reader: database, commit });
  assert.ok(late.length > 1, 'or nothing was tried meanwhile');
  for (const one of [lost, ...found, ...late]) assert.ok(await isMarked(installation, one));
  assert.ok(!(await isMarked(installation, kept)));
  const status = statusOf(installation);
  assert.equal((await status.of(kept.serial)).state, 'good');
  await assert.rejects(renew(installation, late.at(-1)!), (error) => isWritError(error, 'revoked'));
  assert.equal((await his.attest()).accepted, false, 'nobody comes in any more by a token of before');
  assert.equal((await hers.attest()).accepted, true);
  const recorded = (await installation.events(before)).filter(({ type }) => type === 'operator.replaced');
  assert.deepEqual(
    recorded.map(({ body }) => [body['operator'], body['tokens']]),
    [[operator, 'withdrawn']],
  );
  const after = await newToken(installation, { agent: 'planner' }, callerOf(kept));
  assert.equal((await after.attest()).accepted, true, 'what comes after is as good as any');
});

onEachEngine('after a restore tokens of a credential that was replaced stay withdrawn', async ({ open }) => {
  const installation = await createInstallation(await open());
  await register(installation, 'planner');
  const token = await newToken(installation, { agent: 'planner' }, callerOf(await add(installation)));
  const event: RecordedEvent = {
    leaf: 1,
    type: 'operator.replaced',
    time: installation.clock.now(),
    nonce: '',
    subjects: [],
    body: { caller: SYSTEM.id, operator, tokens: 'withdrawn' },
  };
  const { checks, writes } = await replayRevocations(installation.database)([event]);
  await installation.commit({ checks, writes, events: [], bumpsEpoch: true, anchored: false });
  assert.equal((await token.attest()).accepted, false);
});
