/** What a person is told of a bundle that was not taken. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FederationFault } from '../../spiffe/federation.ts';
import { describeFederation } from './federation.ts';

const ADVICE: Readonly<Record<FederationFault, RegExp>> = {
  url: /federation\.allowNetworks.*start the server again.*"writ federation refresh prod\.example"/,
  unreachable: /reaches the URL/,
  timeout: /reaches the URL/,
  status: /URL is that of the bundle/,
  too_large: /URL is that of the bundle/,
  identity: /whether its server is spiffe:\/\/prod\.example\/spire\/server; .*"writ federation replace prod\.example"/,
  malformed: /URL is that of the bundle/,
  own_domain: /believe nothing of it/,
  sequence_back: /begin again; .*"writ federation replace prod\.example"/,
  sequence_missing: /begin again; .*"writ federation replace prod\.example"/,
};

const SPIFFE = {
  trust_domain: 'prod.example',
  profile: 'https_spiffe',
  endpoint_id: 'spiffe://prod.example/spire/server',
};
const triedOf = (item: object): string | undefined => /^try +(.*)$/m.exec(describeFederation({ ...item }))?.[1];

test('each fault has its advice', () => {
  for (const [fault, advice] of Object.entries(ADVICE)) {
    assert.match(triedOf({ ...SPIFFE, status: 'refused', fault }) ?? '', advice, fault);
  }
  const web = { trust_domain: 'partner.example', profile: 'https_web', status: 'refused', fault: 'identity' };
  assert.match(triedOf(web) ?? '', /federation\.caFile/);
});

test('where nothing is wrong there is none, nor for a fault of a later version', () => {
  assert.equal(triedOf({ ...SPIFFE, status: 'good' }), undefined);
  assert.equal(triedOf({ ...SPIFFE, status: 'refused', fault: 'something' }), undefined);
});
