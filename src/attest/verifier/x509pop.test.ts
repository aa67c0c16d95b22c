import assert from 'node:assert/strict';
import { constants, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { describe, test } from 'node:test';
import { isWritError } from '../../base/error.ts';
import { encodePem } from '../../der/pem.ts';
import { boundOctets } from '../../wire/bound-octets.ts';
import {
  CLIENT_AUTH,
  EXTENDED_KEY_USAGE,
  encodeExtendedKeyUsage,
  SERVER_AUTH,
} from '../../x509/extensions/extended-key-usage.ts';
import { DAY, type Entity, extension, issue, type Wish } from '../../x509/path/testdata/issue.ts';
import type { EvidenceFault, Verified, VerifierParts } from '../evidence.ts';
import { CHALLENGE, NOW, verifierParts } from './testdata/verifier-parts.ts';
import { x509popVerifier } from './x509pop.ts';

const root = issue('Root', { ca: true });
const authority = issue('Machines', { ca: true, issuer: root });
const purpose = (...oids: string[]) => ({
  [EXTENDED_KEY_USAGE]: extension(EXTENDED_KEY_USAGE, encodeExtendedKeyUsage(oids)),
});
const machine = (wish: Wish = {}): Entity =>
  issue('node-7', { issuer: authority, names: [{ kind: 'dns', value: 'node-7.example.com' }], ...wish });

const pem = ({ certificate }: Entity): string => encodePem('CERTIFICATE', certificate.raw);
const proof = (key: KeyObject, challenge = CHALLENGE, parts: VerifierParts = verifierParts()): string =>
  sign(null, boundOctets(challenge, parts.spki), key).toString('base64');

interface Change {
  readonly leaf?: Entity;
  readonly chain?: readonly string[];
  readonly challenge?: string;
  readonly signature?: string;
  readonly roots?: readonly Entity[];
  readonly parts?: VerifierParts;
}

async function present(change: Change = {}): Promise<Verified> {
  const { leaf = machine(), challenge = CHALLENGE, roots = [root], parts = verifierParts() } = change;
  const parameters = x509popVerifier.parse({ roots: roots.map(pem) } as never);
  const chain = change.chain ?? [pem(leaf), pem(authority)];
  const signature = change.signature ?? proof(leaf.key.privateKey, challenge, parts);
  return x509popVerifier.verify({ kind: 'x509pop', attestor: 'test', chain, challenge, signature }, parameters, parts);
}

const faultOf = (verified: Verified): EvidenceFault | 'none' => (verified.accepted ? 'none' : verified.fault);

test('a machine with its key is let in by what its certificate says, until that ends', async () => {
  const verified = await present({ leaf: machine({ notAfter: NOW + 3600_000 }) });
  assert.ok(verified.accepted);
  assert.deepEqual(verified.facts['x509:common_name'], ['node-7']);
  assert.deepEqual(verified.facts['x509:dns'], ['node-7.example.com']);
  assert.deepEqual(verified.facts['x509:issuer'], ['CN=Machines']);
  assert.equal(verified.facts['x509:authority_sha256']!.length, 2);
  assert.equal(verified.facts['x509:uri'], undefined);
  assert.equal(verified.expiresAt, NOW + 3600_000);
  assert.match(verified.reference, /^[0-9a-f]+ of CN=Machines$/);
  assert.equal(verified.once!.until, NOW + 60_000);
});

test('the same challenge is used up, whoever answers it', async () => {
  const [one, two] = [await present(), await present({ leaf: machine() })];
  assert.ok(one.accepted && two.accepted);
  assert.deepEqual(one.once!.digest, two.once!.digest);
});

describe('forged proofs are refused', () => {
  const other = machine();
  const cases: readonly { name: string; change: () => Change; fault: EvidenceFault }[] = [
    {
      name: 'a chain that is valid for one certificate and a signature by another',
      change: () => ({ leaf: machine(), signature: proof(other.key.privateKey) }),
      fault: 'wrong-key',
    },
    {
      name: 'a certificate of nobody first, with a good one of somebody after it',
      change: () => {
        const mine = issue('node-7', { issuer: issue('Machines', { ca: true }) });
        return { leaf: mine, chain: [pem(mine), pem(other), pem(authority)] };
      },
      fault: 'untrusted-chain',
    },
    {
      name: 'a good certificate first, and one of nobody that signed after it',
      change: () => {
        const mine = issue('node-7');
        return { chain: [pem(other), pem(mine), pem(authority)], signature: proof(mine.key.privateKey) };
      },
      fault: 'wrong-key',
    },
    { name: 'a challenge of somebody else', change: () => ({ challenge: 'AAAA' }), fault: 'bad-challenge' },
    { name: 'an old challenge', change: () => ({ challenge: 'OLD' }), fault: 'challenge-expired' },
    {
      name: 'a signature over another challenge',
      change: () => ({ leaf: other, signature: proof(other.key.privateKey, 'AAAA') }),
      fault: 'wrong-key',
    },
    {
      name: 'a signature for the key of another CSR',
      change: () => ({
        leaf: other,
        signature: proof(other.key.privateKey, CHALLENGE, verifierParts({ spki: Buffer.from('another key') })),
      }),
      fault: 'wrong-key',
    },
    { name: 'another root', change: () => ({ roots: [issue('Root', { ca: true })] }), fault: 'untrusted-chain' },
    { name: 'no intermediate', change: () => ({ leaf: other, chain: [pem(other)] }), fault: 'untrusted-chain' },
    {
      name: 'an expired certificate',
      change: () => ({ leaf: machine({ notBefore: NOW - 2 * DAY, notAfter: NOW - DAY }) }),
      fault: 'expired',
    },
    {
      name: 'one of tomorrow',
      change: () => ({ leaf: machine({ notBefore: NOW + DAY, notAfter: NOW + 2 * DAY }) }),
      fault: 'not-yet-valid',
    },
    {
      name: 'an authority',
      change: () => ({ leaf: issue('A', { ca: true, issuer: authority }) }),
      fault: 'untrusted-chain',
    },
    {
      name: 'a key that may not sign',
      change: () => ({ leaf: machine({ keyUsage: ['keyEncipherment'] }) }),
      fault: 'untrusted-chain',
    },
    {
      name: 'a certificate for servers alone',
      change: () => ({ leaf: machine({ extensions: purpose(SERVER_AUTH) }) }),
      fault: 'untrusted-chain',
    },
    {
      name: 'a critical extension that nobody understands',
      change: () => ({ leaf: machine({ extensions: { '1.2.3.4': extension('1.2.3.4', Buffer.from([5, 0]), true) } }) }),
      fault: 'untrusted-chain',
    },
    { name: 'no certificate', change: () => ({ leaf: other, chain: [] }), fault: 'malformed' },
    {
      name: 'a certificate that is cut off',
      change: () => ({ leaf: other, chain: [encodePem('CERTIFICATE', other.certificate.raw.subarray(0, -3))] }),
      fault: 'malformed',
    },
    {
      name: 'two in one text',
      change: () => ({ leaf: other, chain: [pem(other) + pem(authority)] }),
      fault: 'malformed',
    },
    { name: 'no PEM', change: () => ({ leaf: other, chain: ['x'] }), fault: 'malformed' },
    { name: 'an empty signature', change: () => ({ signature: '' }), fault: 'wrong-key' },
  ];
  for (const { name, change, fault } of cases) {
    test(name, async () => assert.equal(faultOf(await present(change())), fault));
  }
});

test('a certificate for clients is let in', async () => {
  assert.equal(faultOf(await present({ leaf: machine({ extensions: purpose(SERVER_AUTH, CLIENT_AUTH) }) })), 'none');
});

describe('each kind of key signs in one way', () => {
  const cases = [
    { name: 'P-256', pair: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }), hash: 'sha256', wrong: 'sha384' },
    { name: 'P-384', pair: () => generateKeyPairSync('ec', { namedCurve: 'P-384' }), hash: 'sha384', wrong: 'sha256' },
    { name: 'RSA', pair: () => generateKeyPairSync('rsa', { modulusLength: 2048 }), hash: 'sha256', wrong: undefined },
  ];
  for (const { name, pair, hash, wrong } of cases) {
    test(name, async () => {
      const { privateKey, publicKey } = pair();
      const key = { privateKey, spki: new Uint8Array(publicKey.export({ type: 'spki', format: 'der' })) };
      const leaf = machine({ key });
      const octets = boundOctets(CHALLENGE, verifierParts().spki);
      const pss = { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
      const signed = (by: string): string => sign(by, octets, name === 'RSA' ? pss : privateKey).toString('base64');
      assert.equal(faultOf(await present({ leaf, signature: signed(hash) })), 'none');
      // PKCS #1 v1.5, the older scheme of the same key, or another hash.
      const other = wrong === undefined ? sign(hash, octets, privateKey).toString('base64') : signed(wrong);
      assert.equal(faultOf(await present({ leaf, signature: other })), 'wrong-key');
    });
  }
});

test('a root that is none is refused when it is given', () => {
  for (const roots of [['x'], [encodePem('CERTIFICATE', Buffer.from([0x30, 0]))], [pem(root) + pem(root)]]) {
    assert.throws(
      () => x509popVerifier.parse({ roots } as never),
      (error) => isWritError(error, 'bad_certificate') && error.field === '/roots/0',
    );
  }
});
