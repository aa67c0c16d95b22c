import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { onEachEngine } from '../../test/engines.ts';
import { callerOf, createInstallation, type Installation, letIn, newKey, register } from '../../test/installation.ts';
import { isWritError } from '../base/error.ts';
import { rotateIssuing } from '../ca/authority/maintain.ts';
import { openAuthority } from '../ca/authority/open.ts';
import type { Issuer } from '../ca/issuer.ts';
import { CurrentAuthority } from './current-authority.ts';
import { renewCertificate } from './renew.ts';

function rotate({ database, commit, keyring, clock, random }: Installation) {
  return rotateIssuing({ reader: database, commit, keyring, clock, random });
}

function authorityOf({ database, epoch, keyring, issuance }: Installation, opened: string[] = []) {
  return new CurrentAuthority({
    reader: database,
    epoch,
    open(authority) {
      opened.push(authority.id);
      return openAuthority(database, keyring, authority, issuance.trustDomain);
    },
  });
}

onEachEngine('a rotation is known to the next request, and each key is opened once', async ({ open }) => {
  const installation = await createInstallation(await open());
  const opened: string[] = [];
  const authority = authorityOf(installation, opened);
  assert.throws(
    () => authority.issuer(),
    (error) => isWritError(error, 'unavailable'),
  );
  await Promise.all([authority.refresh(), authority.refresh()]);
  const before = authority.issuer();
  assert.equal(authority.profile('agent')?.profile.lifetime.default, 3600);
  assert.equal(authority.profile('nothing'), undefined);
  const after = await rotate(installation);
  assert.equal(authority.issuer(), before, 'nothing changes in the middle of a request');
  await authority.refresh();
  assert.equal(authority.issuer().id, after.id);
  assert.deepEqual(opened.sort(), [before.id, after.id].sort());
  assert.equal(authority.chain(before.id).length, 2);
  await installation.close();
});

onEachEngine('a key that cannot be opened is tried again', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { database, epoch, keyring, issuance } = installation;
  let broken = true;
  const authority = new CurrentAuthority({
    reader: database,
    epoch,
    async open(one) {
      if (broken) throw new Error('the token is not plugged in');
      return openAuthority(database, keyring, one, issuance.trustDomain);
    },
  });
  await assert.rejects(authority.refresh());
  broken = false;
  await authority.refresh();
  assert.equal(authority.issuer().kind, 'issuing');
  await installation.close();
});

onEachEngine('what was in flight at a rotation is issued; what comes too late is signed anew', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance } = installation;
  await register(installation, 'planner');
  const first = await letIn(installation, { agent: 'planner' });
  const old = issuance.authority.issuer();

  let rotated = false;
  const commit: typeof issuance.commit = async (batch) => {
    if (!rotated) await rotate(installation);
    rotated = true;
    return issuance.commit(batch);
  };
  const csr = async () => newKey().csr();
  const inFlight = await renewCertificate(callerOf(first), { csr: await csr() }, { ...issuance, commit });
  assert.ok(new X509Certificate(inFlight.der).verify(new X509Certificate(inFlight.chain[0]!).publicKey));
  assert.deepEqual(inFlight.chain, issuance.authority.chain(old.id));

  installation.advance(301_000);
  const signers: Issuer[] = [];
  const slow = {
    ...issuance.authority,
    profile: (name: string) => issuance.authority.profile(name),
    chain: (id: string) => issuance.authority.chain(id),
    issuer() {
      signers.push(signers.length === 0 ? old : issuance.authority.issuer());
      return signers.at(-1)!;
    },
  };
  const late = await renewCertificate(callerOf(first), { csr: await csr() }, { ...issuance, authority: slow });
  assert.equal(signers.length, 2);
  assert.notEqual(signers[1]?.id, old.id);
  assert.deepEqual(late.chain, issuance.authority.chain(signers[1]!.id));
  await installation.close();
});
