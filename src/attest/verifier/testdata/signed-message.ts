/** Signed messages as clouds send them, and as forgers would. */
import { generateKeyPairSync, hash, sign } from 'node:crypto';
import { encode, encodeList, integer, nullValue, octetString, oid, sequence, setOf } from '../../../der/writer.ts';
import type { Certificate } from '../../../x509/certificate.ts';
import { type Entity, issue, type Wish } from '../../../x509/path/testdata/issue.ts';

/** A certificate with a P-256 key, which signs messages. */
export function messageSigner(name: string, wish: Wish = {}): Entity {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return issue(name, { key: { privateKey, spki: publicKey.export({ type: 'spki', format: 'der' }) }, ...wish });
}

/** One with an RSA key, self-signed in all but form: as AWS publishes its own. */
export function rsaSigner(name: string, wish: Wish = {}): Entity {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return issue(name, { key: { privateKey, spki: publicKey.export({ type: 'spki', format: 'der' }) }, ...wish });
}

export interface MessageWish {
  /** Whose key signs. */
  readonly by: Entity;
  /** Who is named as signer. Default: who signs. */
  readonly named?: Certificate;
  /** The certificates that it brings. Default: that of who signs. */
  readonly brings?: readonly Certificate[];
}

const DATA = oid('1.2.840.113549.1.7.1');
const SHA256 = sequence(oid('2.16.840.1.101.3.4.2.1'), nullValue());
const RSA = sequence(oid('1.2.840.113549.1.1.1'), nullValue());
const ECDSA = sequence(oid('1.2.840.10045.4.3.2'));

/** Base64 of a PKCS #7 with this content; objects are JSON. */
export function signedMessage(content: object | string, { by, named, brings }: MessageWish): string {
  const octets = Buffer.from(typeof content === 'string' ? content : JSON.stringify(content));
  const attribute = (type: string, value: Uint8Array): Uint8Array => sequence(oid(type), setOf(value));
  const attributes = setOf(
    attribute('1.2.840.113549.1.9.3', DATA),
    attribute('1.2.840.113549.1.9.4', octetString(hash('sha256', octets, 'buffer'))),
  );
  const signed = Uint8Array.from(attributes);
  signed[0] = 0xa0;
  const { issuer, serial } = named ?? by.certificate;
  const method = by.key.privateKey.asymmetricKeyType === 'rsa' ? RSA : ECDSA;
  const signature = octetString(sign('sha256', attributes, by.key.privateKey));
  const id = sequence(issuer.raw, encode(0x02, serial));
  const signer = sequence(integer(1), id, SHA256, signed, method, signature);
  const certificates = (brings ?? [by.certificate]).map(({ raw }) => raw);
  const fields = [
    integer(1),
    setOf(SHA256),
    sequence(DATA, encode(0xa0, octetString(octets))),
    ...(certificates.length === 0 ? [] : [encodeList(0xa0, certificates)]),
    setOf(signer),
  ];
  const message = sequence(oid('1.2.840.113549.1.7.2'), encode(0xa0, sequence(...fields)));
  return Buffer.from(message).toString('base64');
}
