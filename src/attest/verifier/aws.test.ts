import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isWritError } from '../../base/error.ts';
import { encodePem } from '../../der/pem.ts';
import type { AwsParameters } from '../../wire/attestor.ts';
import { DAY } from '../../x509/path/testdata/issue.ts';
import { noOpenssl, openssl } from '../../x509/testdata/openssl.ts';
import type { EvidenceFault, Verified } from '../evidence.ts';
import { awsVerifier } from './aws.ts';
import { type MessageWish, rsaSigner, signedMessage } from './testdata/signed-message.ts';
import { NOW, verifierParts } from './testdata/verifier-parts.ts';

const region = rsaSigner('AWS us-west-2');
const elsewhere = rsaSigner('AWS eu-central-1');
const pem = ({ certificate }: typeof region): string => encodePem('CERTIFICATE', certificate.raw);

/** The document that Amazon's user guide shows, launched a minute ago. */
const DOCUMENT = {
  devpayProductCodes: null,
  marketplaceProductCodes: ['1abc2defghijklm3nopqrs4tu'],
  availabilityZone: 'us-west-2b',
  privateIp: '10.158.112.84',
  version: '2017-09-30',
  instanceId: 'i-1234567890abcdef0',
  billingProducts: null,
  instanceType: 't2.micro',
  accountId: '123456789012',
  imageId: 'ami-5fb8c835',
  pendingTime: new Date(NOW - 60_000).toISOString().replace('.000', ''),
  architecture: 'x86_64',
  kernelId: null,
  ramdiskId: null,
  region: 'us-west-2',
};

const PARAMETERS: AwsParameters = { accounts: ['123456789012'], certificates: [pem(region)] };

function present(document: string, change: Partial<AwsParameters> = {}): Promise<Verified> {
  const parameters = awsVerifier.parse({ ...PARAMETERS, ...change } as never);
  return awsVerifier.verify({ kind: 'aws', attestor: 'test', document }, parameters, verifierParts());
}

const made = (change: object = {}, wish: Partial<MessageWish> = {}): string =>
  signedMessage({ ...DOCUMENT, ...change }, { by: region, brings: [], ...wish });
const faultOf = (verified: Verified): EvidenceFault | 'none' => (verified.accepted ? 'none' : verified.fault);

test('a machine of the account is let in by what its document says, once for ever', async () => {
  const verified = await present(made());
  assert.ok(verified.accepted);
  assert.deepEqual(verified.facts, {
    'aws:account': ['123456789012'],
    'aws:region': ['us-west-2'],
    'aws:instance_id': ['i-1234567890abcdef0'],
    'aws:availability_zone': ['us-west-2b'],
    'aws:image_id': ['ami-5fb8c835'],
    'aws:instance_type': ['t2.micro'],
    'aws:architecture': ['x86_64'],
    'aws:private_ip': ['10.158.112.84'],
  });
  assert.equal(verified.reference, 'i-1234567890abcdef0 of 123456789012');
  // Another document of the same machine is the same evidence, and it is not forgotten before the machine is.
  const again = await present(made({ pendingTime: new Date(NOW - 1000).toISOString() }));
  assert.ok(again.accepted);
  assert.deepEqual(again.once!.digest, verified.once!.digest);
  assert.ok(verified.once!.until > NOW + 9 * 365 * DAY);
  const other = await present(made({ instanceId: 'i-0234567890abcdef0' }));
  assert.ok(other.accepted);
  assert.notDeepEqual(other.once!.digest, verified.once!.digest);
});

describe('forged and foreign documents are refused', () => {
  const forger = rsaSigner('AWS us-west-2');
  const cases: readonly { name: string; document: string; change?: Partial<AwsParameters>; fault: EvidenceFault }[] = [
    { name: 'of another account', document: made({ accountId: '210987654321' }), fault: 'not-admitted' },
    { name: 'of another region', document: made(), change: { regions: ['eu-central-1'] }, fault: 'not-admitted' },
    { name: 'of an old machine', document: made({ pendingTime: '2026-05-31T22:59:59Z' }), fault: 'too-old' },
    {
      name: 'of a machine that is older than the attestor takes',
      document: made({ pendingTime: new Date(NOW - 61_000).toISOString() }),
      change: { max_age_seconds: 60 },
      fault: 'too-old',
    },
    { name: 'of tomorrow', document: made({ pendingTime: '2026-06-02T00:00:00Z' }), fault: 'not-yet-valid' },
    { name: 'signed by nobody whom we know', document: made({}, { by: elsewhere }), fault: 'unknown-key' },
    {
      name: 'signed by a key that only says that it is Amazon’s',
      document: made({}, { by: forger, named: region.certificate }),
      fault: 'bad-signature',
    },
    {
      name: 'with the certificate of Amazon beside the one that signed',
      document: made({}, { by: forger, brings: [region.certificate, forger.certificate] }),
      fault: 'unknown-key',
    },
    {
      name: 'by a certificate that has ended',
      document: made({}, { by: elsewhere }),
      change: {
        certificates: [
          pem(
            rsaSigner('x', {
              key: elsewhere.key,
              serial: elsewhere.certificate.serial,
              notBefore: NOW - 2 * DAY,
              notAfter: NOW - DAY,
            }),
          ),
        ],
      },
      fault: 'unknown-key',
    },
    { name: 'without an account', document: made({ accountId: undefined }), fault: 'malformed' },
    { name: 'with an account that is a number', document: made({ accountId: 123456789012 }), fault: 'malformed' },
    { name: 'with several accounts', document: made({ accountId: ['123456789012'] }), fault: 'malformed' },
    { name: 'without a machine', document: made({ instanceId: undefined }), fault: 'malformed' },
    { name: 'with a machine that is a path', document: made({ instanceId: 'i-12345678/../x' }), fault: 'malformed' },
    { name: 'without a time', document: made({ pendingTime: undefined }), fault: 'malformed' },
    { name: 'with a time that is none', document: made({ pendingTime: '2026-13-01T00:00:00Z' }), fault: 'malformed' },
    {
      name: 'with its account twice',
      document: signedMessage('{"accountId":"1","accountId":"123456789012"}', { by: region }),
      fault: 'malformed',
    },
    { name: 'that is no JSON', document: signedMessage('x', { by: region }), fault: 'malformed' },
    { name: 'that is cut off', document: made().slice(0, -8), fault: 'malformed' },
    { name: 'that is no message', document: 'AAAA', fault: 'malformed' },
    { name: 'that is too long', document: Buffer.alloc(70_000).toString('base64'), fault: 'malformed' },
  ];
  for (const { name, document, change, fault } of cases) {
    test(name, async () => assert.equal(faultOf(await present(document, change)), fault));
  }

  test('by a certificate that has ended, under its own name', async () => {
    const ended = rsaSigner('AWS', { notBefore: NOW - 2 * DAY, notAfter: NOW - DAY });
    assert.equal(faultOf(await present(made({}, { by: ended }), { certificates: [pem(ended)] })), 'untrusted-chain');
  });
});

test('a message as Amazon frames it, in pieces of indefinite length', { skip: noOpenssl }, async () => {
  const key = region.key.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  const files = { document: JSON.stringify(DOCUMENT), certificate: pem(region), key };
  const args = ['smime', '-sign', '-nodetach', '-stream', '-binary', '-nocerts', '-md', 'sha256', '-in', 'document'];
  const message = openssl([...args, '-signer', 'certificate', '-inkey', 'key', '-outform', 'DER'], files);
  assert.equal(message[1], 0x80);
  assert.equal(faultOf(await present(message.toString('base64'))), 'none');
});

test('a certificate that is none is refused when it is given', () => {
  assert.throws(
    () => awsVerifier.parse({ ...PARAMETERS, certificates: [pem(region), 'x'] } as never),
    (error) => isWritError(error, 'bad_certificate') && error.field === '/certificates/1',
  );
});
