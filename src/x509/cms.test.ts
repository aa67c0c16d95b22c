import assert from 'node:assert/strict';
import { hash, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { isWritError } from '../base/error.ts';
import { decodePem } from '../der/pem.ts';
import { encode, integer, nullValue, octetString, oid, sequence, setOf } from '../der/writer.ts';
import { type Certificate, parseCertificate } from './certificate.ts';
import { openSignedData, parseSignedData, type SignedData } from './cms.ts';
import { noOpenssl, openssl } from './testdata/openssl.ts';

/* openssl makes keys, certificates and messages; what it signs is read here. */

const CONTENT = Buffer.from('{"instanceId":"i-1234567890abcdef0"}');

interface Signer {
  readonly pem: Buffer;
  readonly key: Buffer;
  readonly certificate: Certificate;
}

function makeSigner(name: string, kind = 'rsa:2048'): Signer {
  const args = ['req', '-x509', '-nodes', '-newkey', kind, '-subj', `/O=Example/CN=${name}`, '-days', '30'];
  const curve = kind === 'ec' ? ['-pkeyopt', 'ec_paramgen_curve:P-256'] : [];
  const both = openssl([...args, ...curve, '-sha256', '-keyout', '-', '-out', '-']).toString();
  const pem = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----\n/.exec(both)![0];
  const key = /-----BEGIN PRIVATE KEY-----[\s\S]*?-----END PRIVATE KEY-----\n/.exec(both)![0];
  return { pem: Buffer.from(pem), key: Buffer.from(key), certificate: parseCertificate(decodePem(pem, 'CERTIFICATE')) };
}

function signed({ pem, key }: Signer, ...args: string[]): Uint8Array {
  const files = { content: CONTENT, certificate: pem, key };
  const whole = ['cms', '-sign', '-binary', '-in', 'content', '-signer', 'certificate', '-inkey', 'key'];
  return openssl([...whole, '-outform', 'DER', ...args], files);
}

const opened = (data: SignedData, candidates: readonly Certificate[], detached?: Uint8Array): string => {
  const result = openSignedData(data, candidates, detached);
  return result.ok ? Buffer.from(result.content).toString() : result.fault;
};

describe('messages of openssl', { skip: noOpenssl }, () => {
  const [rsa, ec, other] = noOpenssl ? [] : [makeSigner('a'), makeSigner('b', 'ec'), makeSigner('c')];
  const forms: readonly { name: string; signer: () => Signer; args: string[] }[] = [
    { name: 'plain', signer: () => rsa!, args: ['-nodetach', '-md', 'sha256'] },
    { name: 'in pieces of indefinite length', signer: () => rsa!, args: ['-nodetach', '-stream', '-md', 'sha256'] },
    { name: 'without attributes', signer: () => rsa!, args: ['-nodetach', '-noattr', '-md', 'sha256'] },
    { name: 'without certificates', signer: () => rsa!, args: ['-nodetach', '-nocerts', '-md', 'sha512'] },
    { name: 'by key identifier', signer: () => rsa!, args: ['-nodetach', '-keyid', '-md', 'sha256'] },
    {
      name: 'RSASSA-PSS',
      signer: () => rsa!,
      args: ['-nodetach', '-md', 'sha256', '-keyopt', 'rsa_padding_mode:pss', '-keyopt', 'rsa_pss_saltlen:32'],
    },
    { name: 'ECDSA', signer: () => ec!, args: ['-nodetach', '-md', 'sha256'] },
  ];
  for (const { name, signer, args } of forms) {
    test(`${name}: the signer's signature holds, and nobody else is taken for it`, () => {
      const data = parseSignedData(signed(signer(), ...args));
      const result = openSignedData(data, [other!.certificate, signer().certificate]);
      assert.ok(result.ok);
      assert.equal(result.signer, signer().certificate);
      assert.equal(Buffer.from(result.content).toString(), CONTENT.toString());
      assert.equal(opened(data, [other!.certificate]), 'unknown');
      assert.equal(data.certificates.length, args.includes('-nocerts') ? 0 : 1);
    });

    test(`${name}: an altered octet is noticed wherever it is`, () => {
      const der = signed(signer(), ...args);
      for (let at = 0; at < der.length; at += 5) {
        const altered = Uint8Array.from(der);
        altered[at]! ^= 0x01;
        let content: string;
        try {
          content = opened(parseSignedData(altered), [signer().certificate]);
        } catch (error) {
          assert.ok(isWritError(error));
          continue;
        }
        // What the message says of itself and brings along is not signed; what comes out of it is.
        assert.ok([CONTENT.toString(), 'unknown', 'signature', 'content'].includes(content), `${at}: ${content}`);
      }
    });
  }

  test('content that travels apart', () => {
    const data = parseSignedData(signed(rsa!, '-md', 'sha256'));
    assert.equal(opened(data, [rsa!.certificate], CONTENT), CONTENT.toString());
    assert.equal(opened(data, [rsa!.certificate], Buffer.from('{}')), 'signature');
    assert.equal(opened(data, [rsa!.certificate]), 'content');
    // Two contents: one of them nobody signed.
    assert.equal(opened(parseSignedData(signed(rsa!, '-nodetach')), [rsa!.certificate], CONTENT), 'content');
  });

  test('two signatures are one too many', () => {
    const files = { content: CONTENT, a: rsa!.pem, ak: rsa!.key, c: other!.pem, ck: other!.key };
    const args = ['-signer', 'a', '-inkey', 'ak', '-signer', 'c', '-inkey', 'ck', '-nodetach', '-outform', 'DER'];
    const data = parseSignedData(openssl(['cms', '-sign', '-binary', '-in', 'content', ...args], files));
    assert.equal(opened(data, [rsa!.certificate, other!.certificate]), 'signers');
  });

  test('a digest that is broken', () => {
    assert.throws(
      () => parseSignedData(signed(rsa!, '-nodetach', '-md', 'sha1')),
      (error) => isWritError(error, 'bad_certificate'),
    );
  });

  test('a certificate of the same name and number, with another key, does not stand for the signer', () => {
    const forged = { ...other!.certificate, issuer: rsa!.certificate.issuer, serial: rsa!.certificate.serial };
    const data = parseSignedData(signed(other!, '-nodetach', '-md', 'sha256'));
    const renamed: SignedData = { ...data, signers: parseSignedData(signed(rsa!, '-nodetach')).signers };
    assert.equal(opened(renamed, [forged]), 'signature');
    const both = openSignedData(parseSignedData(signed(rsa!, '-nodetach')), [forged, rsa!.certificate]);
    assert.ok(both.ok && both.signer === rsa!.certificate);
  });

  test('attributes about another content, and attributes handed in as content', () => {
    const data = parseSignedData(signed(rsa!, '-nodetach', '-md', 'sha256'));
    const [signer] = data.signers;
    assert.equal(opened({ ...data, content: Buffer.from('{}') }, [rsa!.certificate]), 'signature');
    assert.equal(opened({ ...data, contentType: '1.2.3' }, [rsa!.certificate]), 'signature');
    // The signature over attributes is one over their octets: they come out as content, and are no JSON.
    const { attributes, ...bare } = signer!;
    const content = attributes!.signed;
    assert.equal(opened({ ...data, contentType: '1.2.3', content, signers: [bare] }, [rsa!.certificate]), 'signature');
    assert.equal(content[0], 0x31);
  });

  test('cut off anywhere, or continued, it is none', () => {
    const der = signed(rsa!, '-nodetach', '-md', 'sha256');
    for (let length = 0; length < der.length; length += 11) {
      assert.throws(() => parseSignedData(der.subarray(0, length)), isWritError);
    }
    assert.throws(() => parseSignedData(Buffer.concat([der, Buffer.of(0)])), isWritError);
    assert.throws(
      () => parseSignedData(new Uint8Array(70_000)),
      (error) => isWritError(error, 'too_large'),
    );
  });

  test('written by hand, with what a signer may not leave out', () => {
    const { key, certificate } = rsa!;
    const sha256 = sequence(oid('2.16.840.1.101.3.4.2.1'), nullValue());
    const attribute = (type: string, ...values: Uint8Array[]): Uint8Array => sequence(oid(type), setOf(...values));
    const type = attribute('1.2.840.113549.1.9.3', oid('1.2.840.113549.1.7.1'));
    const digest = attribute('1.2.840.113549.1.9.4', octetString(hash('sha256', CONTENT, 'buffer')));
    const message = (attributes: readonly Uint8Array[], version = 1, method = sha256): Uint8Array => {
      const id = sequence(certificate.issuer.raw, encode(0x02, certificate.serial));
      const signature = sign('sha256', setOf(...attributes), key);
      const rsaEncryption = sequence(oid('1.2.840.113549.1.1.1'), nullValue());
      const signer = sequence(
        integer(version),
        id,
        method,
        encode(0xa0, setOf(...attributes).subarray(2)),
        rsaEncryption,
        octetString(signature),
      );
      const content = sequence(oid('1.2.840.113549.1.7.1'), encode(0xa0, octetString(CONTENT)));
      return sequence(
        oid('1.2.840.113549.1.7.2'),
        encode(0xa0, sequence(integer(1), setOf(sha256), content, setOf(signer))),
      );
    };
    assert.equal(opened(parseSignedData(message([type, digest])), [certificate]), CONTENT.toString());
    const refused: readonly Uint8Array[] = [
      message([digest]),
      message([type]),
      message([type, digest, digest]),
      message([type, attribute('1.2.840.113549.1.9.4', octetString(Buffer.of(1)), octetString(Buffer.of(2)))]),
      message([type, digest], 3),
      message([type, digest], 1, sequence(oid('1.2.840.113549.2.5'), nullValue())),
    ];
    for (const der of refused) assert.throws(() => parseSignedData(der), isWritError);
  });
});

test('the example that Microsoft published for Azure is read, and nobody whom we accept signed it', () => {
  const text = readFileSync(join(import.meta.dirname, 'testdata/azure-attested-document.txt'), 'utf8');
  const data = parseSignedData(Buffer.from(text, 'base64'));
  assert.equal(JSON.parse(Buffer.from(data.content!).toString()).nonce, '1234566766');
  assert.equal(data.signers[0]!.algorithm, 'rsa-pkcs1-sha256');
  assert.equal(data.certificates.length, 1);
  // Its certificate is of RSA with 1024 bits, signed with MD5.
  assert.throws(
    () => parseCertificate(data.certificates[0]!),
    (error) => isWritError(error, 'bad_certificate'),
  );
});
