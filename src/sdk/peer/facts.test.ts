/** What of a peer the feed of one trust domain can name. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { testAuthority } from '../../http/testdata/authority.ts';
import { parseTrustDomain } from '../../spiffe-id/trust-domain.ts';
import { certificateFacts } from './facts.ts';

const OWN = parseTrustDomain('agents.example.com');
const authority = testAuthority();

test('of our own trust domain serial number, names and authority; of any other the authority alone', () => {
  for (const [path, names] of [
    ['agent/planner/1', ['agent:planner', 'instance:1']],
    ['service/db/2', ['agent:db', 'instance:2']],
    ['operator/ada', ['operator:ada']],
    ['writ/server', []],
    ['agent/planner', []],
  ] as const) {
    const facts = (trustDomain: string): { readonly subjects: readonly string[]; readonly serial: string } => {
      const { der } = authority.leaf({ uri: `spiffe://${trustDomain}/${path}` });
      const serial = new X509Certificate(der).serialNumber.toLowerCase();
      return { subjects: certificateFacts(der, OWN).subjects, serial: `serial:${serial}` };
    };
    const own = facts(OWN);
    const issuers = own.subjects.filter((subject) => subject.startsWith('issuer:'));
    assert.equal(issuers.length, 1, path);
    assert.deepEqual(own.subjects, [own.serial, ...names, ...issuers], path);
    for (const other of ['partner.example', 'a.agents.example.com', 'example.com']) {
      assert.deepEqual(facts(other).subjects, issuers, `${other}/${path}`);
    }
  }
});
