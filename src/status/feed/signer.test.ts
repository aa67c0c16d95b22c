/** What a server signs of the feed, and who believes it: `FeedSigner` here, `FeedSignatures` of the client library. */
import assert from 'node:assert/strict';
import { createPublicKey, type KeyObject, sign, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { isWritError } from '../../base/error.ts';
import { type KeyKind, type TestAuthority, testAuthority } from '../../http/testdata/authority.ts';
import { FeedSignatures } from '../../sdk/feed/signatures.ts';
import { parseTrustDomain, type TrustDomain } from '../../spiffe-id/trust-domain.ts';
import type { FeedStatement, SignedStatement } from '../../wire/feed-statement.ts';
import { CLIENT_AUTH } from '../../x509/extensions/extended-key-usage.ts';
import { keyIdentifier, parsePublicKey } from '../../x509/public-key.ts';
import { FeedSigner } from './signer.ts';

const DOMAIN = parseTrustDomain('agents.example.com');
const SERVER = `spiffe://${DOMAIN}/writ/server`;
const root = testAuthority();
const issuing = root.authority('Test Issuing');
const STATE: FeedStatement = { kind: 'state', log: 1, position: 7, epoch: 3, as_of: 1000, time: 1001 };

interface ServerOptions {
  readonly uri?: string;
  readonly key?: KeyKind;
  readonly lifetime?: number;
  readonly usages?: readonly string[];
  readonly by?: TestAuthority;
}

function serverIdentity({ uri = SERVER, by = issuing, ...others }: ServerOptions = {}) {
  const { keyPem, pem } = by.leaf({ uri, ...others });
  return { key: keyPem, chain: pem + issuing.pem };
}

interface Reading {
  readonly signatures: FeedSignatures;
  readonly fallen: Set<string>;
  readonly at: { wall: number };
  readonly identity: { roots: readonly string[]; trustDomain: TrustDomain };
}

function reading(roots: readonly string[] = [root.pem]): Reading {
  const fallen = new Set<string>();
  const at = { wall: Date.now() };
  const identity = { roots, trustDomain: DOMAIN };
  const signatures = new FeedSignatures({
    identity,
    clock: { steady: () => 0, wall: () => at.wall },
    fallen: (subject) => (fallen.has(subject) ? 'stopped' : undefined),
  });
  return { signatures, fallen, at, identity };
}

function refuses({ signatures }: Reading, signed: SignedStatement, message: RegExp): void {
  assert.throws(
    () => signatures.read(signed),
    (error) => isWritError(error, 'bad_certificate') && message.test(error.message),
    String(message),
  );
}

test('whoever has the root believes what any server of the authority signs, also after a change of keys', () => {
  const reader = reading();
  const signer = new FeedSigner(DOMAIN, serverIdentity());
  const other = new FeedSigner(DOMAIN, serverIdentity());
  const first = signer.sign(STATE);
  signer.setIdentity(serverIdentity());
  const second = signer.sign(STATE);
  assert.notDeepEqual(first.chain, second.chain);
  for (const signed of [first, other.sign(STATE), second, first]) {
    assert.deepEqual(reader.signatures.read(signed), { trust_domain: DOMAIN, ...STATE });
  }
});

test('with every kind of key that a server may have', () => {
  for (const key of ['p256', 'ml-dsa-44', 'ml-dsa-65', 'ed25519', 'p384'] as const) {
    const signed = new FeedSigner(DOMAIN, serverIdentity({ key })).sign(STATE);
    assert.equal(reading().signatures.read(signed).kind, 'state', key);
    refuses(reading(), { ...signed, statement: signed.statement.replace('7', '8') }, /changed/);
  }
});

test('no other certificate of the same root counts, nor one of another', () => {
  const say = (options: ServerOptions): SignedStatement => new FeedSigner(DOMAIN, serverIdentity(options)).sign(STATE);
  refuses(reading(), say({ uri: `spiffe://${DOMAIN}/service/gateway/1` }), /no server of the authority/);
  refuses(reading(), say({ uri: `spiffe://${DOMAIN}/writ/responder` }), /no server of the authority/);
  refuses(reading(), say({ uri: 'spiffe://other.example.com/writ/server' }), /no server of the authority/);
  refuses(reading(), say({ usages: [CLIENT_AUTH] }), /not accepted/);
  refuses(reading(), say({ lifetime: -1000 }), /not accepted/);
  refuses(reading(), say({ by: testAuthority('Test Issuing') }), /not accepted/);
  refuses(reading([testAuthority().pem]), say({}), /not accepted/);
});

test('nothing that was changed counts, nor what was signed for something else', () => {
  const identity = serverIdentity();
  const signed = new FeedSigner(DOMAIN, identity).sign(STATE);
  const other = new FeedSigner(DOMAIN, serverIdentity()).sign({ ...STATE, position: 8 });
  refuses(reading(), { ...signed, statement: `${signed.statement} ` }, /changed/);
  refuses(reading(), { ...signed, statement: other.statement }, /changed/);
  refuses(reading(), { ...signed, chain: other.chain }, /changed/);
  refuses(reading(), { ...signed, signature: '' }, /changed/);
  refuses(reading(), { ...signed, chain: [] }, /not signed/);
  for (const odd of [{}, { chain: 'a' }, { ...signed, chain: [1] }, { ...signed, statement: undefined }]) {
    refuses(reading(), odd as unknown as SignedStatement, /not signed/);
  }
  const bare = sign('sha256', Buffer.from(signed.statement), identity.key).toString('base64');
  refuses(reading(), { ...signed, signature: bare }, /changed/);
  refuses(reading(), new FeedSigner('other.example.com', identity).sign(STATE), /another trust domain/);
});

function identifierOf(key: KeyObject): string {
  const spki = createPublicKey(key).export({ type: 'spki', format: 'der' });
  return Buffer.from(keyIdentifier(parsePublicKey(spki))).toString('hex');
}

test('whatever octet of it is another, it is refused and nothing else happens', () => {
  const { chain, ...rest } = new FeedSigner(DOMAIN, serverIdentity()).sign(STATE);
  const [leaf, ...above] = chain.map((one) => Buffer.from(one, 'base64'));
  for (let at = 0; at < leaf!.length; at++) {
    const changed = Buffer.from(leaf!);
    changed[at]! ^= 1 + (at % 255);
    const signed = { ...rest, chain: [changed, ...above].map((der) => der.toString('base64')) };
    assert.throws(
      () => reading().signatures.read(signed),
      (error) => isWritError(error),
      `octet ${at}`,
    );
  }
  const signature = Buffer.from(rest.signature, 'base64');
  for (let at = 0; at < signature.length; at++) {
    const changed = Buffer.from(signature);
    changed[at]! ^= 1;
    refuses(reading(), { ...rest, chain, signature: changed.toString('base64') }, /changed/);
  }
});

test('a server that was stopped, or whose certificate or root has ended, is believed no more', () => {
  const identity = serverIdentity({ lifetime: 60_000 });
  const signed = new FeedSigner(DOMAIN, identity).sign(STATE);
  const reader = reading();
  assert.equal(reader.signatures.read(signed).kind, 'state');
  const serial = new X509Certificate(Buffer.from(signed.chain[0]!, 'base64')).serialNumber.toLowerCase();
  reader.fallen.add(`serial:${serial}`);
  refuses(reader, signed, /was stopped/);
  reader.fallen.clear();
  assert.equal(reader.signatures.read(signed).kind, 'state');
  // The authorities above it, by the keys that the certificates name.
  for (const { key } of [issuing, root]) {
    reader.fallen.add(`issuer:${identifierOf(key)}`);
    refuses(reader, signed, /was stopped/);
    reader.fallen.clear();
  }
  reader.at.wall += 61_000;
  refuses(reader, signed, /expired/);
  reader.at.wall -= 61_000;
  reader.identity.roots = [testAuthority().pem];
  refuses(reader, signed, /not accepted/);
});
