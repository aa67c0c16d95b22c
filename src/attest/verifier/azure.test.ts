import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { encodePem } from '../../der/pem.ts';
import type { AzureParameters } from '../../wire/attestor.ts';
import { azureNonce } from '../../wire/bound-octets.ts';
import { DAY, type Entity, issue } from '../../x509/path/testdata/issue.ts';
import type { EvidenceFault, Verified } from '../evidence.ts';
import { azureVerifier } from './azure.ts';
import { type MessageWish, messageSigner, signedMessage } from './testdata/signed-message.ts';
import { CHALLENGE, NOW, verifierParts } from './testdata/verifier-parts.ts';

const root = issue('DigiCert Global Root G2', { ca: true });
const authority = issue('Microsoft Azure RSA TLS Issuing CA 03', { ca: true, issuer: root });
const metadata = (name: string): Entity =>
  messageSigner(name, { issuer: authority, names: [{ kind: 'dns', value: name }] });
const signer = metadata('westeurope.metadata.azure.com');
const pem = ({ certificate }: Entity): string => encodePem('CERTIFICATE', certificate.raw);

const PARAMETERS: AzureParameters = {
  subscriptions: ['8d10da13-8125-4ba9-a717-bf7490507b3d'],
  roots: [pem(root)],
  intermediates: [pem(authority)],
};
const parts = verifierParts();

const stamp = (ms: number): string => {
  const [date, time] = new Date(ms).toISOString().split('T');
  const [year, month, day] = date!.split('-');
  return `${month}/${day}/${year!.slice(2)} ${time!.slice(0, 8)} -0000`;
};

/** The document that Microsoft's page on the metadata service shows, made a moment ago. */
const DOCUMENT = {
  nonce: azureNonce(CHALLENGE, parts.spki),
  plan: { name: '', product: '', publisher: 'Canonical' },
  sku: '18_04-lts-gen2',
  subscriptionId: '8d10da13-8125-4ba9-a717-bf7490507b3d',
  timeStamp: { createdOn: stamp(NOW - 1000), expiresOn: stamp(NOW + 6 * 3600_000) },
  vmId: '02aab8a4-74ef-476e-8182-f6d2ba4166a6',
};

function present(document: string, change: Partial<AzureParameters> = {}, challenge = CHALLENGE): Promise<Verified> {
  const parameters = azureVerifier.parse({ ...PARAMETERS, ...change } as never);
  return azureVerifier.verify({ kind: 'azure', attestor: 'test', challenge, document }, parameters, parts);
}

const made = (change: object = {}, wish: Partial<MessageWish> = {}): string =>
  signedMessage({ ...DOCUMENT, ...change }, { by: signer, ...wish });
const faultOf = (verified: Verified): EvidenceFault | 'none' => (verified.accepted ? 'none' : verified.fault);

test('a machine of the subscription is let in by what its document says', async () => {
  const verified = await present(made());
  assert.ok(verified.accepted);
  assert.deepEqual(verified.facts, {
    'azure:subscription_id': ['8d10da13-8125-4ba9-a717-bf7490507b3d'],
    'azure:vm_id': ['02aab8a4-74ef-476e-8182-f6d2ba4166a6'],
    'azure:sku': ['18_04-lts-gen2'],
    'azure:plan_publisher': ['Canonical'],
  });
  assert.equal(verified.once!.until, NOW + 60_000);
});

test('an intermediate may come with the message', async () => {
  const document = made({}, { brings: [authority.certificate, signer.certificate] });
  assert.equal(faultOf(await present(document, { intermediates: [] })), 'none');
});

describe('forged and foreign documents are refused', () => {
  const forger = messageSigner('metadata.azure.com', { names: [{ kind: 'dns', value: 'metadata.azure.com' }] });
  const twin = { ...forger.certificate, issuer: signer.certificate.issuer, serial: signer.certificate.serial };
  const cases: readonly {
    name: string;
    document: string;
    fault: EvidenceFault;
    change?: Partial<AzureParameters>;
    challenge?: string;
  }[] = [
    {
      name: 'a chain that is valid for one certificate and a signature by another',
      document: made({}, { by: forger, brings: [signer.certificate, forger.certificate] }),
      fault: 'untrusted-chain',
    },
    {
      name: 'the same, in the other order',
      document: made({}, { by: forger, brings: [forger.certificate, signer.certificate] }),
      fault: 'untrusted-chain',
    },
    {
      name: 'the good certificate named as signer, and the key of another',
      document: made({}, { by: forger, named: signer.certificate, brings: [signer.certificate, forger.certificate] }),
      fault: 'bad-signature',
    },
    {
      name: 'a twin of the good certificate, by name and number, with the key of another',
      document: made({}, { by: forger, named: twin, brings: [signer.certificate, twin] }),
      fault: 'bad-signature',
    },
    {
      name: 'a chain to no root of ours',
      document: made(),
      change: { roots: [pem(issue('R', { ca: true }))] },
      fault: 'untrusted-chain',
    },
    { name: 'no intermediate', document: made(), change: { intermediates: [] }, fault: 'untrusted-chain' },
    { name: 'no certificate of the signer', document: made({}, { brings: [] }), fault: 'unknown-key' },
    {
      name: 'somebody else of the same authority',
      document: made({}, { by: metadata('www.example.com') }),
      fault: 'wrong-issuer',
    },
    {
      name: 'a name that ends alike',
      document: made({}, { by: metadata('evilmetadata.azure.com') }),
      fault: 'wrong-issuer',
    },
    { name: 'another cloud', document: made({}, { by: metadata('metadata.azure.us') }), fault: 'wrong-issuer' },
    {
      name: 'a signer whose name stands in the subject alone',
      document: made({}, { by: messageSigner('metadata.azure.com', { issuer: authority }) }),
      fault: 'wrong-issuer',
    },
    {
      name: 'an expired signer',
      document: made(
        {},
        { by: messageSigner('x', { issuer: authority, notBefore: NOW - 2 * DAY, notAfter: NOW - DAY }) },
      ),
      fault: 'expired',
    },
    { name: 'a nonce of somebody else', document: made({ nonce: '1234567890' }), fault: 'bad-challenge' },
    {
      name: 'a nonce for another key',
      document: made({ nonce: azureNonce(CHALLENGE, Buffer.from('other')) }),
      fault: 'bad-challenge',
    },
    { name: 'no nonce', document: made({ nonce: undefined }), fault: 'bad-challenge' },
    { name: 'a challenge that is none', document: made(), challenge: 'AAAA', fault: 'bad-challenge' },
    { name: 'an old challenge', document: made(), challenge: 'OLD', fault: 'challenge-expired' },
    {
      name: 'another subscription',
      document: made({ subscriptionId: '00000000-8125-4ba9-a717-bf7490507b3d' }),
      fault: 'not-admitted',
    },
    { name: 'no subscription', document: made({ subscriptionId: '' }), fault: 'malformed' },
    { name: 'no machine', document: made({ vmId: '' }), fault: 'malformed' },
    {
      name: 'a document of yesterday',
      document: made({ timeStamp: { createdOn: stamp(NOW - DAY), expiresOn: stamp(NOW - 60_000) } }),
      fault: 'expired',
    },
    {
      name: 'a document of tomorrow',
      document: made({ timeStamp: { createdOn: stamp(NOW + DAY), expiresOn: stamp(NOW + 2 * DAY) } }),
      fault: 'not-yet-valid',
    },
    { name: 'no times', document: made({ timeStamp: {} }), fault: 'malformed' },
    {
      name: 'a month that is none',
      document: made({ timeStamp: { createdOn: '13/01/26 00:00:00 -0000', expiresOn: stamp(NOW + DAY) } }),
      fault: 'malformed',
    },
    { name: 'no message', document: 'AAAA', fault: 'malformed' },
  ];
  for (const { name, document, fault, change, challenge } of cases) {
    test(name, async () => assert.equal(faultOf(await present(document, change, challenge)), fault));
  }

  test('the example that Microsoft published: its signer is of a kind that nobody accepts', async () => {
    const path = join(import.meta.dirname, '../../x509/testdata/azure-attested-document.txt');
    assert.equal(faultOf(await present(readFileSync(path, 'utf8').trim())), 'unknown-key');
  });
});

test('the nonce for a challenge and a key stays what it is', () => {
  assert.match(azureNonce(CHALLENGE, Buffer.from('key')), /^[0-9a-f]{32}$/);
  assert.equal(azureNonce('challenge', Buffer.from('key')), '4848712c647883c3881596f36477f442');
});
