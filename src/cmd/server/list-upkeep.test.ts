import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { onEachEngine } from '../../../test/engines.ts';
import { ADA, createInstallation, letIn, register } from '../../../test/installation.ts';
import { silentLog } from '../../base/log.ts';
import { rotateIssuing } from '../../ca/authority/maintain.ts';
import { type Authority, activeOf } from '../../ca/authority.ts';
import { ServedLists } from '../../ca/crl/served.ts';
import { readHierarchy } from '../../ca/hierarchy.ts';
import { revokeCertificate } from '../../revocation/revoke.ts';
import { verifySignature } from '../../x509/algorithm.ts';
import { parseCrl } from '../../x509/crl.ts';
import { parsePublicKey } from '../../x509/public-key.ts';
import { listParts, startListUpkeep } from './list-upkeep.ts';
import { threadParts } from './thread-parts.ts';

onEachEngine(
  'what an authority issued before it was succeeded is on its own lists, and on no other',
  async ({ open }) => {
    const installation = await createInstallation(await open());
    const { database, clock, keyring, random, commit, epoch, issuance } = installation;
    await register(installation, 'planner');
    const before = await letIn(installation, { agent: 'planner' });
    const hierarchy = (await readHierarchy(database))!;
    const former = activeOf(hierarchy.authorities, 'issuing')!;
    await rotateIssuing({ reader: database, commit, clock, keyring, random });
    installation.advance(600_000);
    await issuance.refresh();
    const after = await letIn(installation, { agent: 'planner' });
    const present = activeOf((await readHierarchy(database))!.authorities, 'issuing')!;
    assert.notEqual(former.id, present.id);

    const own = await threadParts({
      ...{ reader: database, commit, keyring, hierarchy, epoch, clock, random, log: silentLog },
      ...{ names: ['localhost'], statusUrl: 'http://status.agents.example.com' },
    });
    const end = startListUpkeep(own, silentLog);
    const served = new ServedLists(listParts(own));
    /** The serial numbers on the list of an authority, once it is there and says so many. */
    const listed = async ({ id, certificate }: Authority, count: number): Promise<string[]> => {
      for (let tries = 0; tries < 200; tries++) {
        const list = await served.authority(id);
        const crl = list === undefined ? undefined : parseCrl(list.crl);
        if (crl?.entries.length === count) {
          const key = parsePublicKey(certificate.spki);
          assert.ok(verifySignature(crl.signatureAlgorithm, key, crl.tbs, crl.signature));
          return crl.entries.map(({ serial }) => Buffer.from(serial).toString('hex'));
        }
        await pause(25);
      }
      throw new Error(`no list of ${count}`);
    };
    const hex = ({ serial }: { readonly serial: Uint8Array }): string => Buffer.from(serial).toString('hex');
    assert.deepEqual([await listed(former, 0), await listed(present, 0)], [[], []]);
    await revokeCertificate(ADA, { serial: before.serial, cause: 'key_theft' }, issuance);
    assert.deepEqual([await listed(former, 1), await listed(present, 0)], [[hex(before)], []]);
    await revokeCertificate(ADA, { serial: after.serial, cause: 'key_theft' }, issuance);
    assert.deepEqual([await listed(former, 1), await listed(present, 1)], [[hex(before)], [hex(after)]]);
    end();
    own.policy.close();
    await installation.close();
  },
);
