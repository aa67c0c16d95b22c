/** The rules of the X.509-SVID document, each with its clause: of what Writ issues, and of what it accepts. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { PeerCertificate } from 'node:tls';
import { isWritError } from '../../src/base/error.ts';
import { readAuthorities } from '../../src/ca/hierarchy.ts';
import { openSqlite } from '../../src/db/sqlite.ts';
import { issueServerCertificate } from '../../src/issuance/server.ts';
import { grpcPeer } from '../../src/sdk/frameworks/grpc.ts';
import { PeerMemo } from '../../src/sdk/peer/memo.ts';
import { checkPeer } from '../../src/sdk/peer/peer.ts';
import type { TrustDomain } from '../../src/spiffe-id/trust-domain.ts';
import { type Certificate, parseCertificate } from '../../src/x509/certificate.ts';
import { findExtension } from '../../src/x509/extension.ts';
import { BASIC_CONSTRAINTS, decodeBasicConstraints } from '../../src/x509/extensions/basic-constraints.ts';
import {
  CLIENT_AUTH,
  decodeExtendedKeyUsage,
  EXTENDED_KEY_USAGE,
  SERVER_AUTH,
} from '../../src/x509/extensions/extended-key-usage.ts';
import { decodeKeyUsage, KEY_USAGE } from '../../src/x509/extensions/key-usage.ts';
import { encodeNameConstraints, NAME_CONSTRAINTS } from '../../src/x509/extensions/name-constraints.ts';
import { SUBJECT_ALT_NAME } from '../../src/x509/extensions/subject-alt-name.ts';
import type { Purpose } from '../../src/x509/path/certificate-rules.ts';
import { leafId, uriNames, validateSvid } from '../../src/x509/svid.ts';
import { createInstallation, type Installation, letIn, newKey, register, SYSTEM } from '../installation.ts';
import { certificate, type Made } from './certificate.ts';

const OWN = 'agents.example.com' as TrustDomain;

describe('what Writ issues', () => {
  const folder = mkdtempSync(join(tmpdir(), 'writ-svid-'));
  const database = openSqlite({ path: join(folder, 'writ.db') });
  let installation: Installation;
  let leaves: readonly Certificate[];
  let authorities: readonly Certificate[];

  before(async () => {
    installation = await createInstallation(database);
    await register(installation, 'planner');
    await register(installation, 'db', 'service');
    const agent = await letIn(installation, { agent: 'planner' });
    const service = await letIn(installation, { agent: 'db', kind: 'service' });
    const wish = { dnsNames: ['localhost'] };
    const server = await issueServerCertificate(SYSTEM, { csr: await newKey().csr(), wish }, installation.issuance);
    leaves = [agent, service, server].map(({ der }) => parseCertificate(der));
    authorities = (await readAuthorities(database)).map((one) => one.certificate);
  });
  after(async () => {
    await installation.close();
    await database.close();
    rmSync(folder, { recursive: true });
  });

  const usagesOf = ({ extensions }: Certificate) => decodeKeyUsage(findExtension(extensions, KEY_USAGE)!.value);

  test('X.509-SVID §2: a leaf has exactly one URI name, its SPIFFE ID', () => {
    for (const leaf of leaves) {
      const [uri, ...more] = uriNames(leaf);
      assert.match(uri!, /^spiffe:\/\/agents\.example\.com\//);
      assert.deepEqual(more, []);
    }
  });

  test('X.509-SVID §3.1: the id of a leaf has a path', () => {
    for (const leaf of leaves) {
      const id = leafId(leaf);
      assert.ok(typeof id !== 'string' && id.segments.length > 0);
    }
  });

  test('X.509-SVID §3.1: the name is critical where the subject is empty', () => {
    for (const leaf of leaves) {
      assert.equal(findExtension(leaf.extensions, SUBJECT_ALT_NAME)!.critical, leaf.subject.raw.length === 2);
      assert.equal(leaf.subject.raw.length, 2);
    }
  });

  test('X.509-SVID §3.2: an authority is itself an SVID of the trust domain, without path', () => {
    for (const authority of authorities) assert.deepEqual(uriNames(authority), [`spiffe://${OWN}`]);
  });

  test('X.509-SVID §4.1: cA is true for authorities and false for leaves', () => {
    const isAuthority = ({ extensions }: Certificate): boolean =>
      decodeBasicConstraints(findExtension(extensions, BASIC_CONSTRAINTS)!.value).ca;
    assert.ok(authorities.every(isAuthority));
    assert.ok(!leaves.some(isAuthority));
  });

  test('X.509-SVID §4.3: key usage is there, and critical', () => {
    for (const { extensions } of [...leaves, ...authorities]) {
      assert.equal(findExtension(extensions, KEY_USAGE)?.critical, true);
    }
  });

  test('X.509-SVID §4.3: authorities sign certificates, leaves sign and do nothing else', () => {
    for (const authority of authorities) assert.ok(usagesOf(authority).includes('keyCertSign'));
    for (const leaf of leaves) assert.deepEqual(usagesOf(leaf), ['digitalSignature']);
  });

  test('X.509-SVID §4.4: a leaf is for servers and clients', () => {
    for (const { extensions } of leaves) {
      const purposes = decodeExtendedKeyUsage(findExtension(extensions, EXTENDED_KEY_USAGE)!.value);
      assert.ok(purposes.includes(SERVER_AUTH) && purposes.includes(CLIENT_AUTH));
    }
  });

  test('X.509-SVID §5.1: its own leaves are valid under its own roots, with what is sent', () => {
    const roots = authorities.filter(({ subject, issuer }) => Buffer.compare(subject.raw, issuer.raw) === 0);
    for (const leaf of leaves) {
      const result = validateSvid({
        ...{ leaf, intermediates: authorities, now: installation.clock.now() },
        authorities: (domain) => (domain === OWN ? roots : undefined),
      });
      assert.ok(result.valid, result.valid ? '' : result.why);
    }
  });
});

describe('what Writ accepts', () => {
  const ID = 'spiffe://partner.example/x';
  const root = certificate({ ca: true, uris: ['spiffe://partner.example'] });
  const judge = (
    made: Made,
    intermediates: readonly Made[] = [],
    anchors: readonly Made[] = [root],
    purpose?: Purpose,
  ): string => {
    const result = validateSvid({
      ...(purpose === undefined ? {} : { purpose }),
      leaf: parseCertificate(made.der),
      intermediates: intermediates.map(({ der }) => parseCertificate(der)),
      authorities: (domain) =>
        domain === 'partner.example' ? anchors.map(({ der }) => parseCertificate(der)) : undefined,
      now: Date.now(),
    });
    return result.valid ? result.id.uri : result.why;
  };

  /** The id of a certificate that may be malformed. */
  const read = (der: Uint8Array): string => {
    try {
      return judge({ ...root, der });
    } catch (error) {
      assert.ok(isWritError(error), String(error));
      return error.code;
    }
  };

  test('X.509-SVID §2: other kinds of names beside the id are allowed', () => {
    assert.equal(judge(certificate({ uris: [ID], dns: ['x.partner.example'], by: root })), ID);
  });

  test('X.509-SVID §2, §5.2: more than one URI name is refused, whatever the second is', () => {
    for (const second of ['spiffe://partner.example/y', 'https://x.example', ID]) {
      assert.match(judge(certificate({ uris: [ID, second], by: root })), /exactly one URI name/);
    }
  });

  test('X.509-SVID §2: no URI name is refused', () => {
    assert.match(judge(certificate({ dns: ['x.partner.example'], by: root })), /exactly one URI name/);
  });

  test('X.509-SVID §3.1, §5.2: an id without path is refused', () => {
    assert.match(judge(certificate({ uris: ['spiffe://partner.example'], by: root })), /no workload/);
  });

  test('X.509-SVID §5.2: another scheme is refused', () => {
    for (const uri of ['https://partner.example/x', 'SPIFFE://partner.example/x', 'urn:uuid:1']) {
      assert.match(judge(certificate({ uris: [uri], by: root })), /no SPIFFE ID/);
    }
  });

  test('X.509-SVID §3.2, §5.2: a certificate of an authority authenticates nobody', () => {
    assert.match(judge(certificate({ uris: [ID], ca: true, by: root })), /authority/);
    assert.match(judge(root), /authority/);
  });

  test('X.509-SVID §4.3, §5.2: a leaf whose key signs certificates or lists is refused', () => {
    for (const usage of ['keyCertSign', 'cRLSign'] as const) {
      assert.match(
        judge(certificate({ uris: [ID], usages: ['digitalSignature', usage], by: root })),
        /signs certificates or lists/,
      );
    }
  });

  test('X.509-SVID §4.3: a leaf whose key is not for signatures, or says nothing, is refused', () => {
    assert.match(judge(certificate({ uris: [ID], usages: ['keyAgreement'], by: root })), /not for digital signatures/);
    assert.match(judge(certificate({ uris: [ID], usages: null, by: root })), /not for digital signatures/);
  });

  test('X.509-SVID §4.3: keyEncipherment and keyAgreement beside it are allowed', () => {
    assert.equal(
      judge(certificate({ uris: [ID], usages: ['digitalSignature', 'keyEncipherment', 'keyAgreement'], by: root })),
      ID,
    );
  });

  test('X.509-SVID §4.2: where an authority is confined, every SPIFFE ID below it is in its namespace', () => {
    const confined = (...values: readonly string[]): Made => {
      const permitted = values.map((value) => ({ kind: 'uri', value }) as const);
      const value = encodeNameConstraints({ permitted, excluded: [] });
      const more = [{ oid: NAME_CONSTRAINTS, critical: true, value }];
      return certificate({ ca: true, uris: ['spiffe://partner.example'], by: root, more });
    };
    const own = confined('partner.example');
    assert.equal(judge(certificate({ uris: [ID], by: own }), [own]), ID);
    // Known by the same roots, as somebody careless would have it; the path alone is to refuse it.
    for (const elsewhere of ['other.example', '.partner.example', 'x.partner.example', 'partner.examples']) {
      const narrow = confined(elsewhere);
      assert.match(judge(certificate({ uris: [ID], by: narrow }), [narrow]), /was not accepted/, elsewhere);
      const below = certificate({ ca: true, uris: ['spiffe://partner.example'], by: narrow });
      assert.match(judge(certificate({ uris: [ID], by: below }), [below, narrow]), /was not accepted/, elsewhere);
    }
  });

  test('X.509-SVID §4.4: where a leaf names purposes, that which it is shown for is among them', () => {
    const of = (...purposes: readonly string[]): Made => certificate({ uris: [ID], purposes, by: root });
    for (const purpose of ['server', 'client'] as const) {
      assert.equal(judge(of(SERVER_AUTH, CLIENT_AUTH), [], [root], purpose), ID);
      assert.equal(judge(certificate({ uris: [ID], by: root }), [], [root], purpose), ID, 'they may be absent');
    }
    assert.match(judge(of(CLIENT_AUTH), [], [root], 'server'), /was not accepted/);
    assert.match(judge(of(SERVER_AUTH), [], [root], 'client'), /was not accepted/);
  });

  test('X.509-SVID §4.1: a path longer than pathLenConstraint allows is refused', () => {
    const narrow = certificate({ ca: true, uris: ['spiffe://partner.example'], pathLength: 0 });
    const below = certificate({ ca: true, uris: ['spiffe://partner.example'], by: narrow });
    assert.equal(judge(certificate({ uris: [ID], by: narrow }), [], [narrow]), ID);
    assert.match(judge(certificate({ uris: [ID], by: below }), [below], [narrow]), /was not accepted/);
  });

  test('X.509-SVID §5.1: the path is that of RFC 5280, to an authority of the id’s own trust domain', () => {
    const middle = certificate({ ca: true, uris: ['spiffe://partner.example'], by: root });
    assert.equal(judge(certificate({ uris: [ID], by: middle }), [middle]), ID);
    assert.match(judge(certificate({ uris: [ID], by: middle })), /was not accepted/);
    const stranger = certificate({ ca: true, uris: ['spiffe://partner.example'] });
    assert.match(judge(certificate({ uris: [ID], by: stranger })), /was not accepted/);
    assert.match(judge(certificate({ uris: [ID], by: stranger }), [stranger]), /was not accepted/);
    assert.match(judge(certificate({ uris: ['spiffe://other.example/x'], by: root })), /not known/);
  });

  test('X.509-SVID §2, §3.1, §3.2, §4.3, §5.2: the SDK takes for its peers what these rules admit, and nobody else', () => {
    const check = checkPeer(() => true);
    const seen = ({ der }: Made): readonly unknown[] => [
      check('x', { raw: Buffer.from(der) } as PeerCertificate) === undefined,
      grpcPeer({ getAuthContext: () => ({ sslPeerCertificate: { raw: Buffer.from(der) } }) })?.uri,
      new PeerMemo(OWN).ofCertificate(der)?.id.uri,
    ];
    const one = certificate({ uris: [ID], dns: ['x.partner.example'], by: root });
    assert.deepEqual(seen(one), [true, ID, ID]);
    const signing = ['digitalSignature', 'keyCertSign'] as const;
    for (const [name, wanted] of Object.entries({
      'two URI names': { uris: [ID, 'https://x.example'] },
      'no URI name': { dns: ['x.partner.example'] },
      'an id without path': { uris: ['spiffe://partner.example'] },
      'another scheme': { uris: ['https://partner.example/x'] },
      'an authority with a path': { uris: [ID], ca: true, usages: signing },
      'an authority without': { uris: ['spiffe://partner.example'], ca: true },
      'a key for certificates': { uris: [ID], usages: signing },
      'a key for lists': { uris: [ID], usages: ['digitalSignature', 'cRLSign'] as const },
      'no key usage': { uris: [ID], usages: null },
    })) {
      assert.deepEqual(seen(certificate({ ...wanted, by: root })), [false, undefined, undefined], name);
    }
  });

  test('SPIFFE-ID §3.2: id and key are in what is signed, so that no octet of it can be another', () => {
    const { der } = certificate({ uris: [ID], by: root });
    const tbs = Buffer.from(parseCertificate(der).tbs);
    const begin = Buffer.from(der).indexOf(tbs);
    for (let at = begin; at < begin + tbs.length; at++) {
      const altered = der.map((octet, index) => (index === at ? octet ^ 1 : octet));
      assert.notEqual(read(altered), ID, `${at}`);
    }
  });

  test('X.509-SVID §5.1: nothing is trusted because it was sent', () => {
    const self = certificate({ uris: [ID] });
    assert.match(judge(self, [self]), /was not accepted/);
  });
});
